//! Operations with wildcards, as a tree over path segments.
//!
//! Upstream's rules, order included: children are tried as they were written; a rule also covers every
//! path below its own; `*` as a whole segment matches the last segment only; `**` matches the rest;
//! `*` inside a segment matches any characters.

use std::borrow::Cow;

use super::{Action, OperationSpec, Protocol, fold};

/// What an operation's rule says.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// For calls without verbs.
    pub action: Action,
    /// Where it stands among the operations of its policy.
    pub position: usize,
    verbs: Vec<String>,
}

impl Rule {
    /// The action for a verb, if the rule names it or every verb.
    pub(super) fn for_verb(&self, verb: &str) -> Option<Action> {
        let named = self.verbs.iter().any(|known| known == verb || known == "*");
        named.then_some(self.action)
    }
}

/// The operations of one policy.
#[derive(Debug, Default)]
pub(super) struct Operations {
    roots: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    segment: String,
    rule: Option<Rule>,
    children: Vec<Node>,
}

impl Operations {
    pub(super) fn compile(specs: &[OperationSpec], protocol: Protocol) -> Self {
        let mut operations = Self::default();
        for (position, spec) in specs.iter().enumerate() {
            let rule = Rule {
                action: Action::parse(&spec.action),
                position,
                verbs: spec.verbs.clone(),
            };
            operations.insert(&name(spec, protocol), rule);
        }
        operations
    }

    /// The rule for an operation.
    pub(super) fn find(&self, operation: &str) -> Option<&Rule> {
        let segments: Vec<&str> = segments(operation).collect();
        let mut nodes = &self.roots;
        for (index, segment) in segments.iter().enumerate() {
            let last = index + 1 == segments.len();
            let node = matching(nodes, segment, last)?;
            match &node.rule {
                Some(rule) => return Some(rule),
                None if last => return matching(&node.children, "*", true)?.rule.as_ref(),
                None => nodes = &node.children,
            }
        }
        None
    }

    fn insert(&mut self, name: &str, rule: Rule) {
        let mut nodes = &mut self.roots;
        let mut rest = segments(name).peekable();
        while let Some(segment) = rest.next() {
            let at = position_or_insert(nodes, segment);
            if rest.peek().is_none() {
                // The first of two rules with one name wins.
                nodes[at].rule.get_or_insert(rule);
                return;
            }
            nodes = &mut nodes[at].children;
        }
    }
}

/// An operation's name as it is compared.
pub(super) fn name(spec: &OperationSpec, protocol: Protocol) -> Cow<'_, str> {
    match protocol {
        Protocol::Http => fold(&spec.name),
        Protocol::Grpc => Cow::Borrowed(&spec.name),
    }
}

fn segments(operation: &str) -> impl Iterator<Item = &str> {
    operation.strip_prefix('/').unwrap_or(operation).split('/')
}

fn position_or_insert(nodes: &mut Vec<Node>, segment: &str) -> usize {
    nodes
        .iter()
        .position(|node| node.segment == segment)
        .unwrap_or_else(|| {
            nodes.push(Node {
                segment: segment.to_owned(),
                rule: None,
                children: Vec::new(),
            });
            nodes.len() - 1
        })
}

fn matching<'a>(nodes: &'a [Node], segment: &str, last: bool) -> Option<&'a Node> {
    nodes.iter().find(|node| match node.segment.as_str() {
        exact if exact == segment => true,
        "*" => last,
        "**" => true,
        pattern => glob(pattern.as_bytes(), segment.as_bytes()),
    })
}

/// `*` stands for any characters, also none. Linear in the product of both lengths, without recursion,
/// so a hostile path cannot make it expensive.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((after_star, consumed)) = retry {
            retry = Some((after_star, consumed + 1));
            (p, t) = (after_star, consumed + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
