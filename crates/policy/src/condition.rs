//! What a rule's condition speaks of, and the two spellings of a `@stepup` that fail open (decisions A5, §9).
//!
//! Cedar's syntax tree is open to new kinds of node. Whatever is not known here counts as speaking of all
//! arguments, so that a new kind can only deny more.
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, UnaryOp, Var};
use terms::Pointer;

use crate::context::Member;
use crate::shape::BESIDE;

/// What the conditions of a rule speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The arguments.
    pub arguments: BTreeSet<Pointer>,
    /// The members of the context.
    pub members: BTreeSet<Member>,
    /// Whether of anything in the context, known here or not.
    pub context: bool,
}

/// Whether an argument is spoken of: at, above or below its place.
pub(crate) fn spoken_of(read: &BTreeSet<Pointer>, gone: &Pointer) -> bool {
    read.iter().any(|read| read.covers(gone) || gone.covers(read))
}

impl Reads {
    pub fn of(clauses: &[Clause]) -> Self {
        let mut reads = Self::default();
        clauses.iter().for_each(|clause| reads.walk(expression(clause)));
        reads
    }

    /// Whether they speak of any of these arguments.
    pub fn speak_of(&self, gone: &[Pointer]) -> bool {
        gone.iter().any(|gone| spoken_of(&self.arguments, gone))
    }

    fn walk(&mut self, expr: &Expr) {
        if let Some(path) = path(expr) {
            return self.note(&path);
        }
        match expr {
            Expr::Literal(_) | Expr::Var(_) | Expr::Slot(_) => {}
            Expr::UnaryOp { expr, .. } | Expr::GetAttr { expr, .. } | Expr::Like { expr, .. } => {
                self.walk(expr)
            }
            Expr::HasAttr { .. } => match has(expr) {
                Some(path) => self.note(&path),
                None => children(expr).into_iter().for_each(|e| self.walk(e)),
            },
            Expr::BinaryOp { .. }
            | Expr::Is { .. }
            | Expr::IfThenElse { .. }
            | Expr::Set(_)
            | Expr::Record(_) => children(expr).into_iter().for_each(|e| self.walk(e)),
            _ => self.note(&[]),
        }
    }

    /// Something in the context is spoken of.
    fn note(&mut self, path: &[&str]) {
        self.context = true;
        match path {
            [] => {
                self.members.extend(Member::TABLE.map(|(member, _)| member));
                self.argument(&[]);
            }
            [name, steps @ ..] => {
                let member = Member::TABLE.into_iter().find(|(_, known)| known == name);
                self.members.extend(member.map(|(member, _)| member));
                match member {
                    Some((Member::Arguments, _)) => self.argument(steps),
                    // What has no typed form is known once the arguments are typed.
                    Some((Member::Unjudged, _)) => drop(self.members.insert(Member::Arguments)),
                    _ => {}
                }
            }
        }
    }

    /// An argument is spoken of; and with `tagsCount` or `tagsIsNull`, `tags`.
    fn argument(&mut self, steps: &[&str]) {
        let mut at = Pointer::root();
        for step in steps {
            for base in BESIDE.iter().filter_map(|suffix| step.strip_suffix(suffix)) {
                self.arguments.insert(at.child(base));
            }
            at = at.child(*step);
        }
        self.arguments.insert(at);
    }
}

const fn expression(clause: &Clause) -> &std::sync::Arc<Expr> {
    match clause {
        Clause::When(expr) | Clause::Unless(expr) => expr,
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Is { expr, in_expr, .. } => std::iter::once(&**expr).chain(in_expr.as_deref()).collect(),
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(members) => members.values().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// `context.a.b` as `["a", "b"]`.
fn path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Var(Var::Context) => Some(Vec::new()),
        Expr::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr);
            Some(path)
        }
        _ => None,
    }
}

/// What `context.a has b.c` asks for: `["a", "b", "c"]`.
fn has(expr: &Expr) -> Option<Vec<&str>> {
    let Expr::HasAttr { expr, attrs } = expr else { return None };
    let mut path = path(expr)?;
    path.extend(attrs.iter().map(|attr| attr.as_str()));
    Some(path)
}

/// The argument, or the text of all of them, that an expression is.
fn argument(expr: &Expr) -> bool {
    path(expr).is_some_and(|path| matches!(path.as_slice(), ["arguments", _, ..] | ["text"]))
}

/// A literal that is one of more than two values.
fn literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => !matches!(literal, Literal::Bool(_)),
        Expr::UnaryOp { op: UnaryOp::Decimal | UnaryOp::Ip | UnaryOp::Neg, expr } => literal(expr),
        Expr::Set(items) => items.iter().all(|item| literal(item)),
        _ => false,
    }
}

/// Whether the rule applies only where an argument has one of the values that it lists, or is absent: every other
/// spelling, and the upstream's own default, then runs without a step-up.
pub(crate) fn lists_what_is_dangerous(clauses: &[Clause]) -> bool {
    let of = |clause: &Clause| match clause {
        Clause::When(expr) => takes(expr, true),
        Clause::Unless(expr) => takes(expr, false),
    };
    clauses.iter().map(of).fold(Takes::Anything, Takes::and) == Takes::Listed
}

/// What of an argument a condition takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    /// One of the values that it lists.
    Listed,
    /// None at all.
    Absence,
    Anything,
}

impl Takes {
    fn and(self, other: Self) -> Self {
        self.min(other)
    }

    fn or(self, other: Self) -> Self {
        if self == Self::Anything || other == Self::Anything { Self::Anything } else { self.min(other) }
    }
}

/// What `expr` being `holds` takes.
fn takes(expr: &Expr, holds: bool) -> Takes {
    let listed = |it: bool| if it { Takes::Listed } else { Takes::Anything };
    match expr {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => takes(expr, !holds),
        Expr::BinaryOp { op: BinaryOp::And, left, right } if holds => {
            takes(left, true).and(takes(right, true))
        }
        Expr::BinaryOp { op: BinaryOp::And, left, right } => takes(left, false).or(takes(right, false)),
        Expr::BinaryOp { op: BinaryOp::Or, left, right } if holds => takes(left, true).or(takes(right, true)),
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => takes(left, false).and(takes(right, false)),
        Expr::BinaryOp { op: BinaryOp::Eq, left, right } => listed(holds && compares(left, right)),
        Expr::BinaryOp { op: BinaryOp::NotEq, left, right } => listed(!holds && compares(left, right)),
        Expr::BinaryOp {
            op: BinaryOp::Contains | BinaryOp::ContainsAny | BinaryOp::ContainsAll,
            left,
            right,
        } => listed(holds && compares(left, right)),
        Expr::Like { expr, .. } => listed(holds && argument(expr)),
        Expr::HasAttr { .. } if !holds && has(expr).is_some_and(|path| pointer(&path).is_some()) => {
            Takes::Absence
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            let never = |arm: &Expr| matches!(arm, Expr::Literal(Literal::Bool(it)) if *it != holds);
            let arm = |guard: bool, arm: &Expr| match never(arm) {
                true => None,
                false => Some(takes(cond, guard).and(takes(arm, holds))),
            };
            match (arm(true, then_expr), arm(false, else_expr)) {
                (Some(one), Some(other)) => one.or(other),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => Takes::Anything,
            }
        }
        _ => Takes::Anything,
    }
}

fn compares(left: &Expr, right: &Expr) -> bool {
    (argument(left) && literal(right)) || (literal(left) && argument(right))
}

/// What a condition comes to when some arguments are absent and nothing else is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    /// Either.
    Unknown,
    /// Cedar's evaluation error: denied, so nothing runs.
    Error,
}

/// The optional argument whose absence switches the rule off. Only arguments that the rule asks for with
/// `has` are looked at: without it an absent argument is an evaluation error, hence a Deny.
pub(crate) fn off_when_absent(clauses: &[Clause]) -> Option<Pointer> {
    let mut asked = BTreeSet::new();
    clauses.iter().for_each(|clause| collect_has(expression(clause), &mut asked));
    let each = asked.iter().map(|one| (one, BTreeSet::from([one.clone()])));
    let all = asked.iter().next().map(|first| (first, asked.clone()));
    let off = |absent: &BTreeSet<Pointer>| {
        let of = |clause: &Clause| match clause {
            Clause::When(expr) => truth(expr, absent),
            Clause::Unless(expr) => not(truth(expr, absent)),
        };
        clauses.iter().map(of).fold(Truth::True, and) == Truth::False
    };
    each.chain(all).find(|(_, absent)| off(absent)).map(|(pointer, _)| pointer.clone())
}

fn collect_has(expr: &Expr, into: &mut BTreeSet<Pointer>) {
    into.extend(has(expr).and_then(|path| pointer(&path)));
    children(expr).into_iter().for_each(|e| collect_has(e, into));
}

fn pointer(path: &[&str]) -> Option<Pointer> {
    match path {
        ["arguments", steps @ ..] if !steps.is_empty() => {
            Some(steps.iter().fold(Pointer::root(), |at, step| at.child(*step)))
        }
        _ => None,
    }
}

fn truth(expr: &Expr, absent: &BTreeSet<Pointer>) -> Truth {
    let of = |expr: &Expr| truth(expr, absent);
    match expr {
        Expr::Literal(Literal::Bool(true)) => Truth::True,
        Expr::Literal(Literal::Bool(false)) => Truth::False,
        Expr::UnaryOp { op: UnaryOp::Not, expr } => not(of(expr)),
        Expr::BinaryOp { op: BinaryOp::And, left, right } => and(of(left), of(right)),
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => not(and(not(of(left)), not(of(right)))),
        Expr::IfThenElse { cond, then_expr, else_expr } => match of(cond) {
            Truth::True => of(then_expr),
            Truth::False => of(else_expr),
            Truth::Error => Truth::Error,
            Truth::Unknown if of(then_expr) == of(else_expr) => of(then_expr),
            Truth::Unknown => Truth::Unknown,
        },
        Expr::HasAttr { .. } => match has(expr).and_then(|path| pointer(&path)) {
            Some(asked) if absent.iter().any(|gone| gone.covers(&asked)) => Truth::False,
            _ => Truth::Unknown,
        },
        _ => {
            let mut reads = Reads::default();
            reads.walk(expr);
            let fails = |read: &Pointer| absent.iter().any(|gone| gone.covers(read));
            if reads.arguments.iter().any(fails) { Truth::Error } else { Truth::Unknown }
        }
    }
}

const fn not(truth: Truth) -> Truth {
    match truth {
        Truth::True => Truth::False,
        Truth::False => Truth::True,
        Truth::Unknown => Truth::Unknown,
        Truth::Error => Truth::Error,
    }
}

/// Cedar's `&&` looks at the right only if the left is true.
const fn and(left: Truth, right: Truth) -> Truth {
    match (left, right) {
        (Truth::True, right) => right,
        (Truth::False, _) => Truth::False,
        (Truth::Error, _) => Truth::Error,
        (Truth::Unknown, Truth::False) => Truth::False,
        (Truth::Unknown, _) => Truth::Unknown,
    }
}
