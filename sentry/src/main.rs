//! The `sentry` binary.

use std::process::ExitCode;

use trilby_bootstrap::{args, run};
use trilby_sentry::{Args, Environment};

fn main() -> ExitCode {
    let args: Args = args::parse();
    trilby_identity::crypto_provider()
        .as_ref()
        .clone()
        .install_default()
        .expect("nothing installed a provider before");
    run(args.service(), async move |process| {
        let environment = Environment::read();
        trilby_sentry::build(args, &environment, &process)
            .await?
            .start();
        Ok(())
    })
}
