//! Environment markers: the condition after the `;` of a dependency (packaging specification "dependency
//! specifiers", formerly PEP 508).
//!
//! Markers come from locks and wheels, so both the length and the nesting are bounded, and evaluating one
//! takes time in proportion to its length. The rules of comparison are those of `packaging`, which pip uses.

use super::version::accepts;
use crate::error::PythonError;
use pep440_rs::{Version, VersionSpecifier};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A parsed marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    root: Node,
}

/// What a marker may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variable {
    ImplementationName,
    ImplementationVersion,
    OsName,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonFullVersion,
    PythonVersion,
    SysPlatform,
    Extra,
    /// The extras that are asked for, as a set (PEP 751).
    Extras,
    /// The dependency groups that are asked for, as a set (PEP 751).
    DependencyGroups,
}

/// Longest marker that is read, in bytes. The longest seen in real locks have a few thousand.
const LONGEST: usize = 32 * 1024;

/// Deepest nesting of parentheses that is read.
const DEEPEST: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Compare { left: Operand, operator: Operator, right: Operand },
    All(Vec<Node>),
    Any(Vec<Node>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Variable(Variable),
    Literal(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
    Compatible,
    Arbitrary,
    In,
    NotIn,
}

impl Marker {
    /// Reads a marker.
    ///
    /// # Errors
    /// [`PythonError::Marker`] if the text breaks the grammar or the bounds of this module.
    pub(crate) fn parse(text: &str) -> Result<Self, PythonError> {
        let error = |reason: String| {
            let mut shown: String = text.chars().take(200).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            PythonError::Marker { marker: shown, reason }
        };
        if text.len() > LONGEST {
            return Err(error(format!("it is longer than {LONGEST} bytes")));
        }
        let tokens = tokens(text).map_err(&error)?;
        let mut parser = Parser { tokens: &tokens, next: 0 };
        let root = parser.any(0).map_err(&error)?;
        match parser.peek() {
            None => Ok(Self { root }),
            Some(token) => Err(error(format!("{token} is not expected there"))),
        }
    }

    /// The variables that the marker names.
    pub(crate) fn variables(&self) -> BTreeSet<Variable> {
        let mut found = BTreeSet::new();
        self.visit(&mut |variable, _| {
            found.insert(variable);
        });
        found
    }

    /// The texts that a variable is compared with.
    pub(crate) fn literals_of(&self, wanted: Variable) -> Vec<&str> {
        let mut found = Vec::new();
        self.visit(&mut |variable, literal| {
            if variable == wanted {
                found.push(literal);
            }
        });
        found
    }

    /// Whether the marker holds, given a value for each variable. `None` from `value` means that it is not
    /// known; the answer is `None` if it depends on such a variable.
    pub(crate) fn evaluate(&self, value: &dyn Fn(Variable) -> Option<String>) -> Option<bool> {
        self.root.evaluate(value)
    }

    fn visit<'a>(&'a self, see: &mut dyn FnMut(Variable, &'a str)) {
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            match node {
                Node::Compare { left: Operand::Variable(v), right: Operand::Literal(text), .. }
                | Node::Compare { left: Operand::Literal(text), right: Operand::Variable(v), .. } => {
                    see(*v, text)
                }
                Node::Compare { .. } => {}
                Node::All(nodes) | Node::Any(nodes) => open.extend(nodes),
            }
        }
    }
}

impl Node {
    fn evaluate(&self, value: &dyn Fn(Variable) -> Option<String>) -> Option<bool> {
        match self {
            Self::All(nodes) => fold(nodes, value, false),
            Self::Any(nodes) => fold(nodes, value, true),
            Self::Compare { left, operator, right } => {
                let (variable, text, reversed) = match (left, right) {
                    (Operand::Variable(v), Operand::Literal(text)) => (*v, text, false),
                    (Operand::Literal(text), Operand::Variable(v)) => (*v, text, true),
                    // The parser lets no other pair pass.
                    _ => return None,
                };
                let known = value(variable)?;
                Some(if reversed {
                    compare(variable, text, *operator, &known)
                } else {
                    compare(variable, &known, *operator, text)
                })
            }
        }
    }
}

/// `and` and `or` of three values: one deciding value is enough, whatever is unknown beside it.
fn fold(nodes: &[Node], value: &dyn Fn(Variable) -> Option<String>, deciding: bool) -> Option<bool> {
    let mut unknown = false;
    for node in nodes {
        match node.evaluate(value) {
            Some(result) if result == deciding => return Some(deciding),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(!deciding) }
}

/// Compares as versions where the variable is a version and the right side is a version specifier, else as
/// text.
fn compare(variable: Variable, left: &str, operator: Operator, right: &str) -> bool {
    if variable.is_names() {
        // Names are compared in their normal form (PEP 685), and a side that lists several stands for all of
        // them.
        let normal =
            |list: &str| list.split(',').map(|one| normal_extra(one.trim())).collect::<BTreeSet<String>>();
        let shared = !normal(left).is_disjoint(&normal(right));
        return match operator {
            Operator::Equal | Operator::In => shared,
            Operator::NotEqual | Operator::NotIn => !shared,
            _ => false,
        };
    }
    if operator == Operator::Arbitrary {
        return left.eq_ignore_ascii_case(right);
    }
    if variable.is_version()
        && !matches!(operator, Operator::In | Operator::NotIn)
        && let Ok(specifier) = VersionSpecifier::from_str(&format!("{operator}{right}"))
        && let Ok(version) = Version::from_str(left)
    {
        return accepts(&specifier, &version);
    }
    match operator {
        Operator::Equal | Operator::LessEqual | Operator::GreaterEqual => left == right,
        Operator::NotEqual => left != right,
        Operator::In => right.contains(left),
        Operator::NotIn => !right.contains(left),
        // Texts have no order (packaging specification, "environment markers").
        Operator::Less | Operator::Greater | Operator::Compatible | Operator::Arbitrary => false,
    }
}

/// PEP 685: lower case, runs of `-`, `_` and `.` as one `-`.
pub(crate) fn normal_extra(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    normal
}

impl Variable {
    /// All variables but those of [`Variable::is_names`].
    pub(crate) const ENVIRONMENT: [Self; 11] = [
        Self::ImplementationName,
        Self::ImplementationVersion,
        Self::OsName,
        Self::PlatformMachine,
        Self::PlatformPythonImplementation,
        Self::PlatformRelease,
        Self::PlatformSystem,
        Self::PlatformVersion,
        Self::PythonFullVersion,
        Self::PythonVersion,
        Self::SysPlatform,
    ];

    /// The name in markers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImplementationName => "implementation_name",
            Self::ImplementationVersion => "implementation_version",
            Self::OsName => "os_name",
            Self::PlatformMachine => "platform_machine",
            Self::PlatformPythonImplementation => "platform_python_implementation",
            Self::PlatformRelease => "platform_release",
            Self::PlatformSystem => "platform_system",
            Self::PlatformVersion => "platform_version",
            Self::PythonFullVersion => "python_full_version",
            Self::PythonVersion => "python_version",
            Self::SysPlatform => "sys_platform",
            Self::Extra => "extra",
            Self::Extras => "extras",
            Self::DependencyGroups => "dependency_groups",
        }
    }

    /// Whether it speaks of the version of Python.
    pub(crate) fn is_python(self) -> bool {
        matches!(self, Self::PythonVersion | Self::PythonFullVersion | Self::ImplementationVersion)
    }

    /// Whether it depends on who asks, and not on the environment.
    pub(crate) fn is_names(self) -> bool {
        matches!(self, Self::Extra | Self::Extras | Self::DependencyGroups)
    }

    fn is_version(self) -> bool {
        self.is_python() || self == Self::PlatformRelease
    }

    fn named(text: &str) -> Option<Self> {
        match text {
            "extra" => Some(Self::Extra),
            "extras" => Some(Self::Extras),
            "dependency_groups" => Some(Self::DependencyGroups),
            // Spellings from before PEP 508 that setuptools wrote into metadata.
            "os.name" => Some(Self::OsName),
            "sys.platform" => Some(Self::SysPlatform),
            "platform.version" => Some(Self::PlatformVersion),
            "platform.machine" => Some(Self::PlatformMachine),
            "platform.python_implementation" | "python_implementation" => {
                Some(Self::PlatformPythonImplementation)
            }
            _ => Self::ENVIRONMENT.into_iter().find(|variable| variable.name() == text),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::GreaterEqual => ">=",
            Self::Greater => ">",
            Self::Compatible => "~=",
            Self::Arbitrary => "===",
            Self::In => "in",
            Self::NotIn => "not in",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Operator(Operator),
    Operand(Operand),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::And => f.write_str("`and`"),
            Self::Or => f.write_str("`or`"),
            Self::Operator(operator) => write!(f, "`{operator}`"),
            Self::Operand(Operand::Variable(variable)) => write!(f, "`{}`", variable.name()),
            Self::Operand(Operand::Literal(text)) => write!(f, "{text:?}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' => {
                found.push(Token::Open);
                1
            }
            ')' => {
                found.push(Token::Close);
                1
            }
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or("a quote is not closed")?;
                found.push(Token::Operand(Operand::Literal(rest[1..=end].to_owned())));
                end + 2
            }
            '<' | '>' | '=' | '!' | '~' => {
                let length = rest.bytes().take_while(|b| b"<>=!~".contains(b)).count();
                let operator = match &rest[..length] {
                    "<" => Operator::Less,
                    "<=" => Operator::LessEqual,
                    "==" => Operator::Equal,
                    "!=" => Operator::NotEqual,
                    ">=" => Operator::GreaterEqual,
                    ">" => Operator::Greater,
                    "~=" => Operator::Compatible,
                    "===" => Operator::Arbitrary,
                    other => return Err(format!("`{other}` is not an operator")),
                };
                found.push(Token::Operator(operator));
                length
            }
            c if c.is_ascii_alphabetic() => {
                let length = rest
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
                    .count();
                let mut used = length;
                found.push(match &rest[..length] {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "in" => Token::Operator(Operator::In),
                    "not" => {
                        let after = rest[length..].trim_start();
                        let is_in = after.strip_prefix("in").is_some_and(|tail| {
                            !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                        });
                        if !is_in {
                            return Err("`not` is only known in `not in`".to_owned());
                        }
                        used = rest.len() - after.len() + 2;
                        Token::Operator(Operator::NotIn)
                    }
                    name => match Variable::named(name) {
                        Some(variable) => Token::Operand(Operand::Variable(variable)),
                        None => return Err(format!("`{name}` is not a variable of markers")),
                    },
                });
                used
            }
            other => return Err(format!("{other:?} is not expected in a marker")),
        };
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.next).cloned().ok_or("it ends too early")?;
        self.next += 1;
        Ok(token)
    }

    fn any(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.all(depth)?];
        while self.peek() == Some(&Token::Or) {
            self.next += 1;
            nodes.push(self.all(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.comparison(depth)?];
        while self.peek() == Some(&Token::And) {
            self.next += 1;
            nodes.push(self.comparison(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn comparison(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEEPEST {
            return Err(format!("it has more than {DEEPEST} parentheses inside each other"));
        }
        match self.take()? {
            Token::Open => {
                let node = self.any(depth + 1)?;
                match self.take()? {
                    Token::Close => Ok(node),
                    token => Err(format!("{token} stands where `)` is expected")),
                }
            }
            Token::Operand(left) => {
                let operator = match self.take()? {
                    Token::Operator(operator) => operator,
                    token => return Err(format!("{token} stands where an operator is expected")),
                };
                let right = match self.take()? {
                    Token::Operand(right) => right,
                    token => return Err(format!("{token} stands where a variable or text is expected")),
                };
                match (&left, &right) {
                    (Operand::Variable(set @ (Variable::Extras | Variable::DependencyGroups)), _) => {
                        Err(format!("`{}` can only stand after `in` or `not in`", set.name()))
                    }
                    (_, Operand::Variable(set @ (Variable::Extras | Variable::DependencyGroups)))
                        if !matches!(operator, Operator::In | Operator::NotIn) =>
                    {
                        Err(format!("`{}` can only stand after `in` or `not in`", set.name()))
                    }
                    (Operand::Variable(_), Operand::Literal(_))
                    | (Operand::Literal(_), Operand::Variable(_)) => {
                        Ok(Node::Compare { left, operator, right })
                    }
                    _ => Err("a comparison needs one variable and one quoted text".to_owned()),
                }
            }
            token => Err(format!("{token} stands where a comparison is expected")),
        }
    }
}

/// Joins conditions with `and`.
pub(crate) fn all_markers(markers: impl IntoIterator<Item = String>) -> Option<String> {
    let markers: Vec<String> = markers.into_iter().collect();
    match &markers[..] {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(several.iter().map(|m| format!("({m})")).collect::<Vec<_>>().join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(variable: Variable) -> Option<String> {
        let text = match variable {
            Variable::ImplementationName => "cpython",
            Variable::ImplementationVersion | Variable::PythonFullVersion => "3.13.2",
            Variable::OsName => "posix",
            Variable::PlatformMachine => "x86_64",
            Variable::PlatformPythonImplementation => "CPython",
            Variable::PlatformSystem => "Linux",
            Variable::PythonVersion => "3.13",
            Variable::SysPlatform => "linux",
            Variable::Extra => "",
            Variable::Extras => "fast-json,db",
            Variable::DependencyGroups => "docs",
            Variable::PlatformRelease | Variable::PlatformVersion => return None,
        };
        Some(text.to_owned())
    }

    /// Expected values are what `packaging` 26 gives for the same environment; `None` is ours alone, for what
    /// depends on the kernel.
    #[test]
    fn markers_mean_what_packaging_says() {
        for (marker, expect) in [
            ("python_version == '3.12'", Some(false)),
            ("python_version == \"3.13\"", Some(true)),
            ("python_version >= '3.9' and python_version < '4.0'", Some(true)),
            ("python_version < '3.9' or sys_platform == 'linux'", Some(true)),
            ("(python_version < '3.9' or sys_platform == 'win32') and os_name == 'posix'", Some(false)),
            ("'3.9' <= python_version", Some(true)),
            ("python_version in '3.12, 3.13'", Some(true)),
            ("python_version not in '3.10, 3.11'", Some(true)),
            ("python_version not  in '3.13'", Some(false)),
            ("'linux' in sys_platform", Some(true)),
            ("python_version ~= '3.9'", Some(true)),
            ("python_full_version < '3.13.3'", Some(true)),
            ("python_full_version == '3.13.*'", Some(true)),
            ("python_version == '3.1'", Some(false)),
            ("python_version > '3.9'", Some(true)),
            ("sys_platform > 'darwin'", Some(false)),
            ("python_version >= 'abc'", Some(false)),
            ("extra == 'test'", Some(false)),
            ("platform.python_implementation != 'PyPy'", Some(true)),
            ("platform_release >= '20.0'", None),
            ("sys_platform == 'darwin' and platform_release >= '20.0'", Some(false)),
            ("sys_platform == 'linux' or platform_release >= '20.0'", Some(true)),
        ] {
            assert_eq!(Marker::parse(marker).unwrap().evaluate(&value), expect, "{marker}");
        }
    }

    /// `packaging` raises an error for `===` between texts; the specification calls it a comparison of texts.
    #[test]
    fn arbitrary_equality_compares_texts() {
        assert_eq!(Marker::parse("implementation_name === 'cpython'").unwrap().evaluate(&value), Some(true));
        assert_eq!(Marker::parse("python_version === '3.13.0'").unwrap().evaluate(&value), Some(false));
    }

    #[test]
    fn extras_are_compared_in_normal_form() {
        let marker = Marker::parse("extra == 'Fast_JSON'").unwrap();
        assert_eq!(marker.evaluate(&|_| Some("fast-json".to_owned())), Some(true));
    }

    #[test]
    fn sets_of_extras_and_groups() {
        for (marker, expect) in [
            ("'Fast.JSON' in extras", true),
            ("'json' in extras", false),
            ("'json' not in extras and 'docs' in dependency_groups", true),
            ("'db' in dependency_groups", false),
        ] {
            assert_eq!(Marker::parse(marker).unwrap().evaluate(&value), Some(expect), "{marker}");
        }
        let several = |_| Some("a,b".to_owned());
        assert_eq!(Marker::parse("extra == 'a' and extra == 'b'").unwrap().evaluate(&several), Some(true));
        assert_eq!(Marker::parse("extra != 'b'").unwrap().evaluate(&several), Some(false));
    }

    #[test]
    fn broken_markers_are_refused() {
        for marker in [
            "",
            "python_version",
            "python_version ==",
            "python_version == 3.12",
            "pythonversion == '3'",
            "'a' == 'b'",
            "python_version == '3' and",
            "(python_version == '3'",
            "python_version == '3')",
            "python_version not '3'",
            "python_version =! '3'",
            "os_name == 'posix",
            "os_name == 'é' ; é",
            "extras == 'a'",
            "'a' == extras",
            "dependency_groups in 'a'",
        ] {
            assert!(Marker::parse(marker).is_err(), "{marker:?}");
        }
    }

    #[test]
    fn hostile_markers_are_bounded() {
        assert!(Marker::parse(&"(".repeat(60_000)).is_err());
        assert!(Marker::parse(&"os_name == 'a' or ".repeat(10_000)).is_err());
        let wide = vec!["(os_name == 'a' or os_name == 'b')"; 800].join(" and ");
        assert_eq!(Marker::parse(&wide).unwrap().evaluate(&value), Some(false));
    }
}
