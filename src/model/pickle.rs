//! Python's pickle as inert data. A pickle is a program for a stack machine that may call anything by name; here nothing is
//! ever called: names and calls become values that say what they are, and the reader looks for the few it knows. The
//! opcodes are those of protocol 2, as `torch.save` writes them; another one ends the reading.

use std::collections::HashMap;

/// Place of a value in its [`Pickle`].
pub type Id = usize;

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`, a truth value or a fraction: never looked at.
    Other,
    /// A whole number.
    Int(i64),
    /// A string.
    Text(String),
    /// A name, `module name`.
    Name(String),
    /// A tuple or list.
    List(Vec<Id>),
    /// A dictionary, ordered or not.
    Dict(Vec<(Id, Id)>),
    /// What would have been a call: the callable and its arguments.
    Call(Id, Id),
    /// A reference to something outside, by its description.
    Outside(Id),
}

/// All values of one pickle.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a whole pickle.
    ///
    /// # Errors
    /// A sentence with the offset: it is cut, malformed, or has an opcode that is not one of the few.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut machine =
            Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        let root = machine.run().map_err(|what| format!("the pickle is not usable: at byte {}: {what}", machine.at))?;
        Ok(Self { values: machine.values, root })
    }

    /// The outermost value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    /// A text.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is none below zero.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The members of a tuple or list.
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::List(members) => Some(members),
            _ => None,
        }
    }

    /// The arguments of a call to `name`.
    pub fn call(&self, id: Id, name: &str) -> Option<&[Id]> {
        match self.get(id) {
            Value::Call(callable, arguments) if matches!(self.get(*callable), Value::Name(of) if of == name) => {
                self.list(*arguments)
            }
            _ => None,
        }
    }

    /// The entries of a dictionary whose keys are texts.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let entries: &[(Id, Id)] = match self.get(id) {
            Value::Dict(entries) => entries,
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| Some((self.text(*key)?, *value)))
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

const EMPTY: &str = "the stack is empty";

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            match self.byte()? {
                0x80 => _ = self.byte()?,
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'}' => self.push(Value::Dict(Vec::new())),
                b')' | b']' => self.push(Value::List(Vec::new())),
                b'N' | 0x88 | 0x89 => self.push(Value::Other),
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other);
                }
                b'K' => {
                    let number = self.byte()?;
                    self.push(Value::Int(number.into()));
                }
                b'M' => {
                    let number = self.array().map(u16::from_le_bytes)?;
                    self.push(Value::Int(number.into()));
                }
                b'J' => {
                    let number = self.array().map(i32::from_le_bytes)?;
                    self.push(Value::Int(number.into()));
                }
                b'X' => {
                    let length = self.word()?;
                    let text = String::from_utf8_lossy(self.take(length as usize)?).into_owned();
                    self.push(Value::Text(text));
                }
                b'c' => {
                    let name = format!("{} {}", self.line()?, self.line()?);
                    self.push(Value::Name(name));
                }
                b'q' => {
                    let key = self.byte()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = self.word()?;
                    self.remember(key)?;
                }
                b'h' => {
                    let key = self.byte()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = self.word()?;
                    self.recall(key)?;
                }
                b't' => {
                    let members = self.since_mark()?;
                    self.push(Value::List(members));
                }
                count @ 0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(count - 0x84)).ok_or(EMPTY)?;
                    let members = self.stack.split_off(from);
                    self.push(Value::List(members));
                }
                b'Q' => {
                    let what = self.pop()?;
                    self.push(Value::Outside(what));
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let is_dict = matches!(self.values.get(callable), Some(Value::Name(name)) if name == "collections OrderedDict");
                    self.push(if is_dict { Value::Dict(Vec::new()) } else { Value::Call(callable, arguments) });
                }
                // the state of an object that is never made
                b'b' => _ = self.pop()?,
                b'a' => {
                    let member = self.pop()?;
                    self.append(vec![member])?;
                }
                b'e' => {
                    let members = self.since_mark()?;
                    self.append(members)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.enter(&[key, value])?;
                }
                b'u' => {
                    let entries = self.since_mark()?;
                    self.enter(&entries)?;
                }
                other => return Err(format!("opcode {other:#04x} is not read")),
            }
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| EMPTY.to_owned())
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let id = self.stack.last().ok_or(EMPTY)?;
        self.values.get_mut(*id).ok_or_else(|| EMPTY.to_owned())
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, members: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.extend(members),
            _ => return Err("an element without a list".to_owned()),
        }
        Ok(())
    }

    fn enter(&mut self, entries: &[Id]) -> Result<(), String> {
        // else an attribute of an object that is never made
        if let Value::Dict(dict) = self.top()? {
            dict.extend(entries.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)));
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let id = *self.stack.last().ok_or(EMPTY)?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let id = *self.memo.get(&key).ok_or("something is recalled that was never remembered")?;
        self.stack.push(id);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    fn word(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it is cut".to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or("it is cut")?;
        self.at += count;
        Ok(taken)
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut")?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_call_of_the_system_is_only_a_value() {
        // what `pickle` would run: os.system("true")
        let pickle = Pickle::read(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.").unwrap();
        let arguments = pickle.call(pickle.root(), "os system").unwrap();
        assert_eq!(arguments.iter().map(|id| pickle.text(*id)).collect::<Vec<_>>(), [Some("true")]);
    }

    #[test]
    fn a_dictionary_that_was_remembered_before_it_was_filled_is_whole() {
        // {"a": 258, "b": (1, 2)}
        let pickle = Pickle::read(b"\x80\x02}q\0(X\x01\0\0\0aM\x02\x01X\x01\0\0\0bK\x01K\x02\x86u.").unwrap();
        let entries: Vec<_> = pickle.entries(pickle.root()).collect();
        assert_eq!(entries.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pickle.size(entries[0].1), Some(258));
        assert_eq!(pickle.list(entries[1].1).unwrap().len(), 2);
    }

    #[test]
    fn what_is_cut_or_unknown_or_out_of_order_is_refused() {
        for bytes in [&b""[..], b"\x80\x02}", b"R.", b"t.", b"X\xff\xff\xff\xffab.", b"h\x07.", b"\x95.", b"K\x01a."] {
            let said = Pickle::read(bytes).unwrap_err();
            assert!(said.contains("at byte"), "{said}");
        }
    }
}
