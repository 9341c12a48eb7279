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
    /// It does what nobody could wait for.
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
            // A step over bytes is far cheaper than one of the expression.
            true => around.saturating_mul(1 + wide(size.bytes) / 256),
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
        let pattern = call.args.last().map(|pattern| &pattern.expr);
        if call.func_name == "matches" && loops > 0 && !matches!(pattern, Some(Expr::Literal(_))) {
            // Each step would make another pattern, of the publisher's choice.
            return Err(
                "a pattern that all(), exists(), map() or filter() use must be a text".to_owned(),
            );
        }
        self.linear_in_loop |= loops > 0 && LINEAR.contains(&call.func_name.as_str());
        if let Some(target) = &call.target {
            self.read(target, loops)?;
        }
        self.all(&call.args, loops)
    }
}
