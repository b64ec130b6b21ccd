//! What the documented rules say of each row, without a line of what is under test.

use crate::table::{Act, Comes, Facts, House, NEW, Names, Owned, Run};

/// What comes back: a status; of a search, also whether the crate was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) found: bool,
    /// Whether the crate is another one than before, or others may publish it.
    pub(crate) changed: bool,
}

impl Answered {
    pub(crate) fn with(status: u16) -> Self {
        Self { status, found: false, changed: false }
    }
}

/// One row of the table, and what is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) act: Act,
    pub(crate) house: House,
    pub(crate) names: Names,
    pub(crate) owned: Owned,
    pub(crate) private: bool,
}

pub(crate) fn expected(comes: &Comes, row: Row) -> Answered {
    let Row { act, house, names, owned, private } = row;
    let needs_credential = private || !house.reads_without_credential();
    let exists = owned != Owned::Absent;
    let who = match comes {
        Comes::With(facts) => Some(facts),
        _ if !act.is_read() || needs_credential => return Answered::with(401),
        _ => None,
    };
    if act.is_read() {
        let is_for_reading = |who: &Facts| {
            let everything = who.scopes.contains(&"read-all");
            let this = act == Act::Search || who.pattern != "api-*";
            who.only_publish_of.is_none() && (everything || who.scopes.contains(&"read") && this)
        };
        let reader = who.filter(|who| is_for_reading(who));
        if reader.is_none() && needs_credential {
            return Answered::with(if act == Act::Search { 403 } else { 404 });
        }
        let mut seen = exists && house.shows(reader);
        if act == Act::Search {
            // Who may read nothing at all may not look around.
            if house == House::Rules && reader.is_some_and(|reader| reader.run.is_some()) {
                return Answered::with(403);
            }
            // A token that is not for the crate does not find it where its bearer has to be known;
            // where not, the search is what anybody is shown.
            if let Some(reader) = reader
                && reader.pattern == "api-*"
                && !reader.scopes.contains(&"read-all")
            {
                seen = exists && !needs_credential && house.shows(None);
            }
            return Answered { found: seen, ..Answered::with(200) };
        }
        return Answered::with(if seen { 200 } else { 404 });
    }
    let Some(who) = who else { unreachable!("answered with 401") };
    if !house.shows(Some(who)) {
        return Answered::with(404);
    }
    let scope = match act {
        Act::Publish if exists => "publish-update",
        Act::Publish => "publish-new",
        Act::Yank | Act::Unyank => "yank",
        Act::TrustPublisher => "trusted-publishing",
        _ => "change-owners",
    };
    let claim = who.only_publish_of.is_none_or(|version| act == Act::Publish && version == NEW);
    if !claim || who.pattern == "api-*" || !who.scopes.contains(&scope) {
        return Answered::with(403);
    }
    if !exists && act != Act::Publish {
        return Answered::with(404);
    }
    let is_new = act == Act::Publish && !exists;
    if !house.lets_write(who, act, owned) || is_new && !names.let_create(who) {
        return Answered::with(403);
    }
    match act {
        // A crate without a user among its owners would be nobody's; and nobody is removed twice.
        Act::RemoveLast => Answered::with(400),
        Act::RemoveGroup if owned != Owned::ByGroup => Answered::with(400),
        // What is not yanked stays as it is when that is undone.
        Act::Unyank => Answered::with(200),
        _ => Answered { changed: true, ..Answered::with(200) },
    }
}

impl House {
    fn reads_without_credential(self) -> bool {
        !matches!(self, Self::Rules | Self::Hidden)
    }

    /// Whether the crate is there to see for them; nobody is `None`.
    fn shows(self, who: Option<&Facts>) -> bool {
        let of_ui = who.is_some_and(|who| who.groups.contains(&"group:ui"));
        match self {
            Self::Owners | Self::Open | Self::Strict => true,
            Self::Rules => who.is_some_and(|who| who.run.is_none()),
            Self::Hidden => of_ui || who.is_some_and(|who| who.user == "eve" || who.run.is_some()),
            Self::Partly => of_ui,
        }
    }

    fn lets_write(self, who: &Facts, act: Act, owned: Owned) -> bool {
        let of_ui = who.groups.contains(&"group:ui");
        let creates = owned == Owned::Absent;
        if who.run == Some(Run::NoLonger) {
            return false;
        }
        let by_rule = match (self, act) {
            (Self::Open, _) => return true,
            (Self::Owners, Act::Publish) => creates,
            (Self::Rules, Act::Yank | Act::Unyank) if who.user == "alice" => return false,
            (Self::Rules, Act::Publish) => of_ui || who.admin && who.user == "alice",
            (Self::Rules, _) => who.admin && who.user == "alice",
            (Self::Strict, _) => return act == Act::Publish && creates,
            (Self::Hidden, Act::Publish) => of_ui,
            (Self::Partly, Act::Publish) => creates,
            (Self::Owners | Self::Hidden | Self::Partly, _) => false,
        };
        let owns_alone = owned == Owned::ByAlice && who.user == "alice";
        let owns = owns_alone || owned == Owned::ByGroup && of_ui || who.run.is_some();
        by_rule || !creates && if act.is_of_owners() { owns_alone } else { owns }
    }
}

impl Act {
    /// Whether a member of a group that owns the crate may not do it.
    fn is_of_owners(self) -> bool {
        matches!(self, Self::AddOwner | Self::RemoveLast | Self::RemoveGroup | Self::TrustPublisher)
    }
}

impl Names {
    fn let_create(self, who: &Facts) -> bool {
        match self {
            Self::Free | Self::Listed | Self::Approved => true,
            Self::ReservedForGroup => who.groups.contains(&"group:ui"),
            Self::ReservedForAlice => who.user == "alice",
            Self::ApprovedForGina => who.user == "gina",
            Self::NotListed | Self::NeedsApproval => false,
        }
    }
}
