//! The `daprd` binary.

use std::process::ExitCode;

use trilby_sidecar::app::{self, Parts};
use trilby_sidecar::config::Config;
use trilby_sidecar::environment::Environment;
use trilby_sidecar::{backends, process, wait};
use trilby_sidecar_args::SidecarArgs;

#[global_allocator]
static ALLOCATOR: trilby_profiling::Allocator = trilby_profiling::Allocator;

fn main() -> ExitCode {
    // Clients that take no provider of their own use this one. It is the first, so it is not refused.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let args: SidecarArgs = trilby_bootstrap::args::parse();
    if args.process.wait {
        return wait::main(args.api.dapr_http_port);
    }
    if args.observability.enable_profiling {
        trilby_profiling::sample_allocations();
    }
    let code = trilby_bootstrap::run(process::service_config(&args), |process| async move {
        let environment = Environment::read(|name| std::env::var(name).ok())?;
        let config = Config::new(&args, environment)?;
        let parts = Parts {
            registry: backends::registry(),
            resolver: None,
        };
        app::build(config, parts, &process).await?.start();
        Ok(())
    });
    if code == ExitCode::SUCCESS {
        tracing::info!("Daprd shutdown gracefully");
    }
    code
}
