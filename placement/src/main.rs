//! The `placement` binary.

use std::process::ExitCode;

use trilby_bootstrap::{args, run};
use trilby_placement::{Args, Config, Environment, build};

fn main() -> ExitCode {
    let args: Args = args::parse();
    // A second provider would be a bug of this binary; there is none yet when `main` begins.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    run(args.service(), async move |process| {
        let config = Config::new(args, Environment::read())?;
        build(config, &process).await?.start(&process);
        Ok(())
    })
}
