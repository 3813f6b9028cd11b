//! The index over scopes: which rules can apply to this principal, action and resource at all.
//!
//! Cedar never evaluates the condition of a policy whose scope does not match, so leaving it out changes
//! neither the answer nor the reasons nor the errors (decisions §1, "Checked and sound"); a property test
//! holds that. Cedar itself would look at every policy of the set, at 0.7 µs each.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint, ResourceConstraint};

use crate::bits::Bits;
use crate::entities::Entity;

/// By type, then by id.
type Named = HashMap<String, HashMap<String, Bits>>;

/// One of the three parts of a scope.
#[derive(Default)]
struct Axis {
    any: Bits,
    same: Named,
    within: Named,
    of_type: HashMap<String, Bits>,
    of_type_within: HashMap<String, Named>,
}

/// The scopes of a set of rules.
#[derive(Default)]
pub(crate) struct Index {
    principals: Axis,
    actions: Axis,
    resources: Axis,
}

impl Index {
    /// Adds the scope of rule number `rule`.
    pub fn add(
        &mut self,
        rule: usize,
        principal: &PrincipalConstraint,
        action: &ActionConstraint,
        resource: &ResourceConstraint,
    ) {
        use {PrincipalConstraint as P, ResourceConstraint as R};
        let axis = &mut self.principals;
        match principal {
            P::Any => axis.any.set(rule),
            P::Eq(it) => put(&mut axis.same, it, rule),
            P::In(it) => put(&mut axis.within, it, rule),
            P::Is(kind) => axis.of_type.entry(kind.to_string()).or_default().set(rule),
            P::IsIn(kind, it) => {
                put(axis.of_type_within.entry(kind.to_string()).or_default(), it, rule);
            }
        }
        let axis = &mut self.resources;
        match resource {
            R::Any => axis.any.set(rule),
            R::Eq(it) => put(&mut axis.same, it, rule),
            R::In(it) => put(&mut axis.within, it, rule),
            R::Is(kind) => axis.of_type.entry(kind.to_string()).or_default().set(rule),
            R::IsIn(kind, it) => {
                put(axis.of_type_within.entry(kind.to_string()).or_default(), it, rule);
            }
        }
        let axis = &mut self.actions;
        match action {
            ActionConstraint::Any => axis.any.set(rule),
            ActionConstraint::Eq(it) => put(&mut axis.same, it, rule),
            ActionConstraint::In(them) => them.iter().for_each(|it| put(&mut axis.within, it, rule)),
        }
    }

    /// The rules whose scope matches.
    pub fn matching(&self, principal: &Entity, action: &Entity, resource: &Entity) -> Bits {
        let mut found = self.resources.matching(resource);
        found.keep(&self.actions.matching(action));
        found.keep(&self.principals.matching(principal));
        found
    }
}

impl Axis {
    fn matching(&self, entity: &Entity) -> Bits {
        let kind = entity.kind.name();
        let mut found = self.any.clone();
        let of_type_within = self.of_type_within.get(kind);
        let self_and_parents = std::iter::once((entity.kind, &entity.id))
            .chain(entity.parents.iter().map(|(kind, id)| (*kind, id)));
        let sets = get(&self.same, kind, &entity.id).into_iter().chain(self.of_type.get(kind));
        let within = self_and_parents.flat_map(|(kind, id)| {
            let kind = kind.name();
            [get(&self.within, kind, id), of_type_within.and_then(|named| get(named, kind, id))]
        });
        sets.chain(within.flatten()).for_each(|set| found.add(set));
        found
    }
}

fn get<'n>(named: &'n Named, kind: &str, id: &str) -> Option<&'n Bits> {
    named.get(kind)?.get(id)
}

fn put(named: &mut Named, entity: &EntityUid, rule: usize) {
    let ids = named.entry(entity.type_name().to_string()).or_default();
    ids.entry(entity.id().unescaped().to_owned()).or_default().set(rule);
}
