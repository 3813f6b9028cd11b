//! A person's own things, and the way in.

use askama::Template;

use super::Frame;
use crate::foreign::Foreign;
use crate::moment::{Until, When};

/// A person's own things.
#[derive(Clone, Debug, Template)]
#[template(path = "me.html")]
pub struct MePage {
    /// Around it.
    pub frame: Frame,
    /// The groups that the person is in.
    pub groups: Vec<Foreign>,
    /// The person's passkeys.
    pub passkeys: Vec<PasskeyRow>,
    /// Until when the person is signed in here.
    pub until: Until,
}

/// One passkey.
#[derive(Clone, Debug)]
pub struct PasskeyRow {
    /// What its person calls it.
    pub name: Option<Foreign>,
    /// The first characters of the credential's id.
    pub short: Foreign,
    /// When it was enrolled.
    pub enrolled: When,
    /// Who invited; `None` when the person added it with another one.
    pub by: Option<Foreign>,
    /// Whether it is on one device only, may have copies, or has.
    pub kept: &'static str,
    /// From when it signs more than its person in, while that is yet to come.
    pub signs: Option<Until>,
    /// Whether it signs and no other one of its person does.
    pub last_that_signs: bool,
    /// The body of the request that revokes it, without the reason; `None` for the last one, which stays.
    pub revoke: Option<String>,
}

/// The way in.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// Whether the person came to sign in, rather than to a page that asks for it.
    pub plain: bool,
}

/// The first time: an invitation is turned into a passkey.
#[derive(Clone, Debug, Template)]
#[template(path = "enrol.html")]
pub struct EnrolPage {
    /// Whom the invitation is for.
    pub person: Foreign,
    /// Who invited.
    pub by: Foreign,
    /// Until when it is good.
    pub until: Until,
    /// Where the passkey is sent: the invitation's own address.
    pub action: String,
}
