//! A generated index of the size and shape of crates.io: the same at each run.
//!
//! Crate number `i` is the `i`-th largest. The number of versions falls with the rank as a power of
//! it, up to a plateau at 2,000, so that most crates have a handful of versions and some have 2,000.

use registry_core::{
    CrateName, CrateRecord, IndexLine, Login, Owner, Owners,
    record::{About, Origin, ReleaseRecord, ReleaseState, Stamp, Timestamp},
};

const MOST_VERSIONS: usize = 2_000;
/// How steeply the number of versions falls with the rank.
const EXPONENT: f64 = 0.75;
/// Versions per crate on average, as on crates.io.
const MEAN_VERSIONS: usize = 10;

/// The generated crates.
pub(crate) struct Corpus {
    crates: usize,
    /// What makes the number of versions come out at the mean.
    scale: f64,
    words: Vec<String>,
}

impl Corpus {
    pub(crate) fn new(crates: usize) -> Self {
        let total = |scale: f64| (0..crates).map(|rank| versions(scale, rank)).sum::<usize>();
        let (mut low, mut high) = (0.0, 1e9);
        while high - low > 1e-3 {
            let middle = f64::midpoint(low, high);
            if total(middle) < crates * MEAN_VERSIONS { low = middle } else { high = middle }
        }
        Self { crates, scale: high, words: words(4_000) }
    }

    pub(crate) fn crates(&self) -> usize {
        self.crates
    }

    pub(crate) fn versions(&self, rank: usize) -> usize {
        versions(self.scale, rank)
    }

    /// How many versions all crates have together.
    pub(crate) fn releases(&self) -> usize {
        (0..self.crates).map(|rank| self.versions(rank)).sum()
    }

    /// Two words and a number only one crate has, scattered over the alphabet.
    pub(crate) fn name(&self, rank: usize) -> String {
        let mut random = Random::new(rank as u64);
        let (one, two) = (random.word(&self.words), random.word(&self.words));
        format!("{one}-{two}{rank}")
    }

    /// A word that descriptions have, the common ones more often.
    pub(crate) fn word(&self, random: &mut Random) -> &str {
        random.zipf_word(&self.words)
    }

    pub(crate) fn record(&self, rank: usize, owner: &Owner) -> CrateRecord {
        let mut random = Random::new(!(rank as u64));
        let description: Vec<&str> =
            (0..6 + random.below(10)).map(|_| self.word(&mut random)).collect();
        let about = About {
            description: Some(description.join(" ")),
            keywords: (0..random.below(6)).map(|_| self.word(&mut random).to_owned()).collect(),
            repository: Some(format!("https://git.example.com/{}", self.name(rank))),
            ..About::default()
        };
        record(&self.name(rank), self.versions(rank), about, owner, |random| {
            self.name(random.below(self.crates))
        })
    }
}

/// A crate of one's own name with so many versions.
pub(crate) fn crate_with(name: &str, versions: usize, owner: &Owner) -> CrateRecord {
    record(name, versions, About::default(), owner, |random| format!("dep{}", random.below(1000)))
}

fn record(
    name: &str,
    versions: usize,
    about: About,
    owner: &Owner,
    dependency: impl Fn(&mut Random) -> String,
) -> CrateRecord {
    let mut random = Random::new(versions as u64);
    let dependencies: Vec<String> = (0..random.below(8))
        .map(|_| {
            format!(
                r#"{{"name":"{}","req":"^1.{}","features":["std"],"optional":false,"default_features":true,"target":null,"kind":"normal"}}"#,
                dependency(&mut random),
                random.below(30)
            )
        })
        .collect();
    let dependencies = dependencies.join(",");
    let releases = (0..versions).map(|number| {
        let digits: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
        let line = format!(
            r#"{{"name":"{name}","vers":"0.{}.{}","deps":[{dependencies}],"cksum":"{digits}","features":{{"default":["std"],"std":[]}},"yanked":false,"rust_version":"1.70","pubtime":"2026-01-01T00:00:00Z"}}"#,
            number / 20,
            number % 20,
        );
        ReleaseRecord {
            line: IndexLine::parse(line.into()).unwrap(),
            size: 20_000,
            published_at: Timestamp(1_767_225_600),
            published_by: owner.login.clone(),
            state: ReleaseState::Published,
        }
        .into()
    });
    let (name, owners) = (CrateName::new(name).unwrap(), Owners::from_iter([owner.clone()]));
    CrateRecord::from_parts(name, owners, about, releases.collect()).unwrap()
}

/// The owner of everything, as the token store numbers its first user.
pub(crate) fn owner() -> Owner {
    Owner { id: 1, login: Login::new("bench").unwrap(), name: None }
}

/// What a write of theirs is noted with.
pub(crate) fn stamp(owner: &Owner) -> Stamp {
    Stamp { by: owner.login.clone(), at: Timestamp(1_767_225_600), origin: Origin::default() }
}

fn versions(scale: f64, rank: usize) -> usize {
    let versions = scale * (rank as f64 + 1.0).powf(-EXPONENT);
    (versions as usize).clamp(1, MOST_VERSIONS)
}

/// Words of two to four syllables, none twice.
fn words(count: usize) -> Vec<String> {
    let syllables: Vec<String> = "bcdfghklmnprstvz"
        .chars()
        .flat_map(|consonant| "aeiou".chars().map(move |vowel| format!("{consonant}{vowel}")))
        .collect();
    let mut random = Random::new(1);
    let mut words: Vec<String> = Vec::new();
    while words.len() < count {
        let length = 2 + random.below(3);
        let word: String = (0..length).map(|_| random.word(&syllables)).collect();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// SplitMix64: numbers without a dependency, the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A rank below `end`, the first about `1 / ln(end)` of the time: Zipf's law with exponent 1.
    pub(crate) fn zipf(&mut self, end: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (((end as f64).ln() * uniform).exp() as usize - 1).min(end - 1)
    }

    fn word<'a>(&mut self, words: &'a [String]) -> &'a str {
        let place = self.below(words.len());
        &words[place]
    }

    fn zipf_word<'a>(&mut self, words: &'a [String]) -> &'a str {
        let place = self.zipf(words.len());
        &words[place]
    }
}
