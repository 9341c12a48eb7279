//! The `injector` binary.

use std::process::ExitCode;

use trilby_bootstrap::{ServiceConfig, args, refuse_root, run};
use trilby_injector::{Args, Config, Settings, build};

fn main() -> ExitCode {
    let args: Args = args::parse();
    // A second provider would be a bug of this binary; there is none yet when `main` begins.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let service = ServiceConfig {
        log: args.log.clone(),
        health: Some(args.health.clone()),
        metrics: Some(args.metrics.clone()),
        ..ServiceConfig::new("injector", &args)
    };
    run(service, async move |process| {
        let variable = |name: &str| std::env::var(name).ok();
        refuse_root(variable)?;
        let config = Config::new(&args, Settings::read(variable)?);
        build(config, &process).await?.start(&process);
        Ok(())
    })
}
