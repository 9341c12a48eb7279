//! A guest, compiled.

use std::sync::Arc;

use trilby_components::registry::InitError;
use wasmi::{Config, Engine, ExternType, Linker, Module, ValType};

use crate::abi;
use crate::guest::State;
use crate::system;

pub(crate) const MEMORY: &str = "memory";
pub(crate) const HANDLE_REQUEST: &str = "handle_request";
pub(crate) const HANDLE_RESPONSE: &str = "handle_response";

/// What instances are made of.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    pub(crate) linker: Linker<State>,
    pub(crate) told: Told,
}

/// What instances are told.
#[derive(Debug)]
pub(crate) struct Told {
    /// The component's name, for the log.
    pub(crate) component: String,
    /// `guestConfig`.
    pub(crate) config: String,
    /// `strictSandbox`.
    pub(crate) strict: bool,
}

impl Compiled {
    /// Compiles a guest and gives it its host functions.
    pub(crate) fn new(binary: &[u8], told: Told) -> Result<Arc<Self>, InitError> {
        let invalid = |reason: String| InitError::Invalid(format!("wasm: {reason}"));
        let mut config = Config::default();
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, binary)
            .map_err(|error| invalid(format!("error compiling guest: {error}")))?;
        check(&module).map_err(invalid)?;
        let mut linker = Linker::new(&engine);
        let linked = abi::link(&mut linker)
            .and_then(|()| system::link(&mut linker))
            .and_then(|()| system::link_absent(&mut linker, &module));
        linked.map_err(|error| invalid(error.to_string()))?;
        Ok(Arc::new(Self {
            engine,
            module,
            linker,
            told,
        }))
    }
}

/// Whether the guest exports what the ABI asks for.
fn check(module: &Module) -> Result<(), String> {
    function(module, HANDLE_REQUEST, (&[], &[ValType::I64]))?;
    function(
        module,
        HANDLE_RESPONSE,
        (&[ValType::I32, ValType::I32], &[]),
    )?;
    match module.get_export(MEMORY) {
        Some(ExternType::Memory(_)) => Ok(()),
        _ => Err(format!("guest doesn't export memory[{MEMORY}]")),
    }
}

fn function(
    module: &Module,
    name: &str,
    (parameters, results): (&[ValType], &[ValType]),
) -> Result<(), String> {
    let Some(ExternType::Func(found)) = module.get_export(name) else {
        return Err(format!("guest doesn't export func[{name}]"));
    };
    if found.params() == parameters && found.results() == results {
        return Ok(());
    }
    Err(format!(
        "guest exports the wrong signature for func[{name}]. should be {parameters:?} -> {results:?}"
    ))
}
