//! What a rule reads of an event, and how its effort grows with what it reads: both told from the expression alone.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators},
};

use super::values::Size;

/// The variable that rules are about.
const EVENT: &str = "event";
/// Functions that go through a whole text, list or map.
const LINEAR: [&str; 6] = [
    "@in",
    "contains",
    "matches",
    "endsWith",
    "startsWith",
    "_+_",
];
/// The functions there are, beside operators. Others are told of when the rule is read, not at the first event.
const FUNCTIONS: [&str; 25] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// What a rule reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The fields of the event that it names.
    fields: BTreeSet<String>,
    /// It does with the event what is more than to name a field.
    whole: bool,
    /// How many loops stand within each other, at most.
    loops: u32,
    /// Whether what a loop does at each step takes longer the more there is to read.
    linear_in_loop: bool,
    /// How many parts the rule has.
    parts: usize,
}

impl Reading {
    /// What `expression` reads.
    ///
    /// # Errors
    /// It calls what is no function, or does what nobody could wait for.
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, String> {
        let mut reading = Self::default();
        reading.read(expression, 0)?;
        Ok(reading)
    }

    /// Whether it reads this field.
    pub(super) fn wants(&self, field: &str) -> bool {
        self.whole || self.fields.contains(field)
    }

    /// How many steps evaluating it takes, at most, in an event of this size.
    pub(super) fn steps(&self, size: Size) -> u64 {
        if self.loops == 0 {
            return 0;
        }
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let around = wide(size.values.saturating_add(self.parts)).saturating_pow(self.loops);
        match self.linear_in_loop {
            // To pass over a value or a byte is far cheaper than to evaluate a part: measured, a 50th and a 2,000th.
            true => around.saturating_mul(1 + wide(size.values) / 32 + wide(size.bytes) / 1024),
            false => around,
        }
    }

    fn read(&mut self, part: &IdedExpr, loops: u32) -> Result<(), String> {
        self.parts += 1;
        self.loops = self.loops.max(loops);
        match &part.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.whole |= name == EVENT,
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == EVENT => {
                    self.fields.insert(select.field.clone());
                }
                _ => self.read(&select.operand, loops)?,
            },
            Expr::Call(call) => self.call(call, loops)?,
            Expr::List(list) => self.all(&list.elements, loops)?,
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr), loops)?,
            Expr::Struct(made) => {
                self.entries(made.entries.iter().map(|entry| &entry.expr), loops)?
            }
            Expr::Comprehension(over) => {
                self.read(&over.iter_range, loops)?;
                self.read(&over.accu_init, loops)?;
                self.read(&over.loop_cond, loops + 1)?;
                self.read(&over.loop_step, loops + 1)?;
                self.read(&over.result, loops)?;
            }
        }
        Ok(())
    }

    fn all(&mut self, parts: &[IdedExpr], loops: u32) -> Result<(), String> {
        parts.iter().try_for_each(|part| self.read(part, loops))
    }

    fn entries<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a EntryExpr>,
        loops: u32,
    ) -> Result<(), String> {
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => self.read(&field.value, loops)?,
                EntryExpr::MapEntry(entry) => {
                    self.read(&entry.key, loops)?;
                    self.read(&entry.value, loops)?;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &CallExpr, loops: u32) -> Result<(), String> {
        if let (operators::INDEX, [of, name]) = (call.func_name.as_str(), &*call.args)
            && let (Expr::Ident(of), Expr::Literal(LiteralValue::String(name))) =
                (&of.expr, &name.expr)
            && of == EVENT
        {
            self.fields.insert(name.inner().to_owned());
            return Ok(());
        }
        let name = call.func_name.as_str();
        if name.starts_with(char::is_alphabetic) && !FUNCTIONS.contains(&name) {
            return Err(format!("there is no function {name}()"));
        }
        let pattern = call.args.last().map(|pattern| &pattern.expr);
        if name == "matches" && loops > 0 && !matches!(pattern, Some(Expr::Literal(_))) {
            // Each step would make another pattern, of the publisher's choice.
            return Err(
                "a pattern that all(), exists(), map() or filter() use must be a text".to_owned(),
            );
        }
        self.linear_in_loop |= loops > 0 && LINEAR.contains(&name) && !collects(call);
        if let Some(target) = &call.target {
            self.read(target, loops)?;
        }
        self.all(&call.args, loops)
    }
}

/// Whether a call is what map() and filter() add to their result with: that copies nothing.
fn collects(call: &CallExpr) -> bool {
    let result = call.args.first().map(|result| &result.expr);
    matches!(result, Some(Expr::Ident(name)) if name.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use cel::Program;

    use super::{FUNCTIONS, Reading};
    use crate::route::values::Size;

    fn reading(rule: &str) -> Reading {
        Reading::of(Program::compile(rule).unwrap().expression()).unwrap()
    }

    #[test]
    fn fields_are_told_from_the_rule() {
        let two = reading("event.type == 'a' && event['source'].size() > 1");
        assert!(two.wants("type") && two.wants("source") && !two.wants("data"));
        let nested = reading("has(event.data.a) && event.data.b.exists(x, x == event.id)");
        assert!(nested.wants("data") && nested.wants("id") && !nested.wants("a"));
        for whole in [
            "size(event) == 1",
            "event[event.type] == 1",
            "'a' in event",
            "event == {}",
            "[event] == []",
        ] {
            assert!(reading(whole).wants("anything"), "{whole}");
        }
        assert!(!reading("other.type == 'a'").wants("type"));
    }

    #[test]
    fn effort_grows_with_loops_within_each_other() {
        let size = Size {
            values: 1_000,
            bytes: 10_000,
        };
        let steps = |rule| reading(rule).steps(size);
        assert_eq!(steps("event.a == 1 || 1 in event.a"), 0);
        let one = steps("event.a.all(x, x == 1)");
        assert!((1_000..2_000).contains(&one), "{one}");
        let beside = steps("event.a.all(x, x == 1) && event.b.map(x, x).size() == 0");
        assert!((1_000..2_000).contains(&beside), "{beside}");
        let after = steps("event.a.map(x, x).filter(x, x == 1).size() == 1");
        assert!((1_000..2_000).contains(&after), "{after}");
        let within = steps("event.a.all(x, event.a.exists(y, x == y))");
        assert!((1_000_000..2_000_000).contains(&within), "{within}");
        let linear = steps("event.a.all(x, x in event.a)");
        assert!((20_000..100_000).contains(&linear), "{linear}");
        let deep = "event.a.all(x, ".repeat(30) + "true" + &")".repeat(30);
        assert_eq!(steps(&deep), u64::MAX);
    }

    #[test]
    fn only_functions_that_exist_can_be_called() {
        for name in FUNCTIONS {
            let calls = [
                format!("{name}('a')"),
                format!("'a'.{name}()"),
                format!("'a'.{name}('a')"),
            ];
            let known = calls.iter().any(|call| {
                let program = Program::compile(call).unwrap();
                assert!(Reading::of(program.expression()).is_ok());
                let result = program.execute(&cel::Context::default());
                !matches!(result, Err(cel::ExecutionError::UndeclaredReference(_)))
            });
            assert!(known, "{name}");
        }
        for call in [
            "lowerAscii(event.type)",
            "event.type.lowerAscii() == ''",
            "optional.of(1) == 1",
        ] {
            let refused = Reading::of(Program::compile(call).unwrap().expression());
            assert!(refused.is_err(), "{call}");
        }
    }
}
