//! The part of CEL that conditions over a few numbers need: numbers, names, arithmetic, comparisons, logic,
//! the conditional, and the conversions `int` and `double`, with CEL's rules of precedence and of errors.
//!
//! Own, because the grammar is small, the text comes from a resource, and the general parser needs more stack
//! than a worker thread has for thirty brackets. Here the depth is bounded.

mod parse;

/// A value of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    Name(String),
    Not(Box<Self>),
    Negative(Box<Self>),
    Convert(Conversion, Box<Self>),
    Binary(Operator, Box<(Self, Self)>),
    /// Condition, and what holds if it does or does not.
    Conditional(Box<(Self, Self, Self)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    Int,
    Double,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoValue {
    #[error("there is no {0:?}")]
    Unknown(String),
    #[error("{0} does not go with these types")]
    Types(&'static str),
    #[error("{0} of these numbers has no result")]
    Arithmetic(&'static str),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text)
    }

    /// The value, with the numbers that `lookup` knows by name.
    pub(super) fn evaluate(&self, lookup: &impl Fn(&str) -> Option<i64>) -> Result<Value, NoValue> {
        match self {
            Self::Literal(value) => Ok(*value),
            Self::Name(name) => {
                let unknown = || NoValue::Unknown(name.clone());
                lookup(name).map(Value::Int).ok_or_else(unknown)
            }
            Self::Not(operand) => Ok(Value::Bool(!boolean(operand.evaluate(lookup), "!")?)),
            Self::Negative(operand) => negative(operand.evaluate(lookup)?),
            Self::Convert(conversion, operand) => convert(*conversion, operand.evaluate(lookup)?),
            Self::Binary(operator, sides) => {
                let (left, right) = (sides.0.evaluate(lookup), sides.1.evaluate(lookup));
                operator.apply(left, right)
            }
            Self::Conditional(parts) => {
                let (condition, then, otherwise) = &**parts;
                let holds = boolean(condition.evaluate(lookup), "?")?;
                if holds { then } else { otherwise }.evaluate(lookup)
            }
        }
    }
}

impl Operator {
    fn apply(
        self,
        left: Result<Value, NoValue>,
        right: Result<Value, NoValue>,
    ) -> Result<Value, NoValue> {
        match self {
            Self::Or => decided(left, right, true),
            Self::And => decided(left, right, false),
            _ => match (left?, right?) {
                (Value::Int(left), Value::Int(right)) => self.integers(left, right),
                (Value::Double(left), Value::Double(right)) => self.doubles(left, right),
                // Numbers of both kinds can be compared, and nothing else.
                (Value::Int(left), Value::Double(right)) => self.compare(&(left as f64), &right),
                (Value::Double(left), Value::Int(right)) => self.compare(&left, &(right as f64)),
                (Value::Bool(left), Value::Bool(right)) => self.compare(&left, &right),
                _ => Err(NoValue::Types(self.sign())),
            },
        }
    }

    fn integers(self, left: i64, right: i64) -> Result<Value, NoValue> {
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide => left.checked_div(right),
            Self::Remainder => left.checked_rem(right),
            _ => return self.compare(&left, &right),
        };
        result
            .map(Value::Int)
            .ok_or(NoValue::Arithmetic(self.sign()))
    }

    fn doubles(self, left: f64, right: f64) -> Result<Value, NoValue> {
        Ok(Value::Double(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            _ => return self.compare(&left, &right),
        }))
    }

    fn compare<T: PartialOrd>(self, left: &T, right: &T) -> Result<Value, NoValue> {
        Ok(Value::Bool(match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            _ => return Err(NoValue::Types(self.sign())),
        }))
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// `||` and `&&`: a side that decides does so even if the other has no value.
fn decided(
    left: Result<Value, NoValue>,
    right: Result<Value, NoValue>,
    decisive: bool,
) -> Result<Value, NoValue> {
    let sign = if decisive { "||" } else { "&&" };
    let (left, right) = (boolean(left, sign), boolean(right, sign));
    if left == Ok(decisive) || right == Ok(decisive) {
        return Ok(Value::Bool(decisive));
    }
    left.and(right).map(Value::Bool)
}

fn boolean(value: Result<Value, NoValue>, sign: &'static str) -> Result<bool, NoValue> {
    match value? {
        Value::Bool(value) => Ok(value),
        _ => Err(NoValue::Types(sign)),
    }
}

fn negative(value: Value) -> Result<Value, NoValue> {
    match value {
        Value::Int(value) => value
            .checked_neg()
            .map(Value::Int)
            .ok_or(NoValue::Arithmetic("-")),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Bool(_) => Err(NoValue::Types("-")),
    }
}

fn convert(conversion: Conversion, value: Value) -> Result<Value, NoValue> {
    match (conversion, value) {
        (Conversion::Double, Value::Int(value)) => Ok(Value::Double(value as f64)),
        (Conversion::Double, Value::Double(_)) | (Conversion::Int, Value::Int(_)) => Ok(value),
        (Conversion::Int, Value::Double(value)) => {
            let whole = value.trunc();
            let fits = (i64::MIN as f64..i64::MAX as f64).contains(&whole);
            fits.then_some(Value::Int(whole as i64))
                .ok_or(NoValue::Arithmetic("int"))
        }
        (Conversion::Int, Value::Bool(_)) => Err(NoValue::Types("int")),
        (Conversion::Double, Value::Bool(_)) => Err(NoValue::Types("double")),
    }
}

impl Value {
    /// The name of its type.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Bool(_) => "bool",
        }
    }
}

#[cfg(test)]
mod tests;
