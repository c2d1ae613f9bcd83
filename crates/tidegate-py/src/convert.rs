//! Python values to JSON and back.

use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    intern,
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple},
};
use serde_json::Value;

/// Appends `value` as JSON. Beside what JSON knows: anything with a `model_dump`, such as a message of an earlier reply.
///
/// # Errors
/// `TypeError` or `ValueError`, naming `path`.
pub(crate) fn write_json(value: &Bound<'_, PyAny>, path: &str, out: &mut Vec<u8>) -> PyResult<()> {
    write(value, &Path { outer: None, step: Step::Name(path) }, out)
}

/// As Python values: `None`, `bool`, `int`, `float`, `str`, `list`, `dict`.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (None, Some(whole)) => whole.into_pyobject(py)?.into_any(),
            (None, None) => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => {
            let dict = PyDict::new(py);
            for (name, value) in fields {
                dict.set_item(name, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// Where in an argument a value stands; put together only for an error.
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Name(&'a str),
    Index(usize),
    /// What an object gave for itself.
    Same,
}

impl Path<'_> {
    fn depth(&self) -> usize {
        self.outer.map_or(0, |outer| outer.depth() + 1)
    }

    fn text(&self) -> String {
        let before = self.outer.map(Path::text).unwrap_or_default();
        match self.step {
            Step::Name(name) if before.is_empty() => name.to_owned(),
            Step::Name(name) => format!("{before}.{name}"),
            Step::Index(index) => format!("{before}[{index}]"),
            Step::Same => before,
        }
    }
}

fn write(value: &Bound<'_, PyAny>, path: &Path<'_>, out: &mut Vec<u8>) -> PyResult<()> {
    if path.depth() > MAX_DEPTH {
        return Err(PyValueError::new_err(format!("{} is nested too deeply, or holds itself", path.text())));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return string(text, path, out);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return object(dict, path, out);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return array(list.iter(), path, out);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(tuple.iter(), path, out);
    }
    if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(value) = value.cast::<PyBool>() {
        out.extend_from_slice(if value.is_true() { b"true" } else { b"false" });
    } else if value.is_instance_of::<PyInt>() {
        // JSON has whole numbers of any size; an enumeration's member is its number.
        let digits = value.call_method1(intern!(value.py(), "__format__"), ("d",)).map_err(|error| {
            PyValueError::new_err(format!("{}: {}", path.text(), error.value(value.py())))
        })?;
        out.extend_from_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
    } else if let Ok(number) = value.cast::<PyFloat>() {
        float(number.value(), path, out)?;
    } else if let Ok(mapping) = value.cast::<PyMapping>() {
        let copy = PyDict::new(value.py());
        copy.update(mapping)?;
        object(&copy, path, out)?;
    } else if let Some(dump) = value.getattr_opt(intern!(value.py(), "model_dump"))? {
        let without_none = PyDict::new(value.py());
        without_none.set_item(intern!(value.py(), "exclude_none"), true)?;
        // Deeper, though at the same place: it may give itself.
        let dumped = dump.call((), Some(&without_none))?;
        write(&dumped, &Path { outer: Some(path), step: Step::Same }, out)?;
    } else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{}: a {kind} can't be sent as JSON", path.text())));
    }
    Ok(())
}

fn string(text: &Bound<'_, PyString>, path: &Path<'_>, out: &mut Vec<u8>) -> PyResult<()> {
    let text = text.to_str().map_err(|_| {
        PyValueError::new_err(format!("{}: the text has half a surrogate pair and is no UTF-8", path.text()))
    })?;
    quoted(text, out);
    Ok(())
}

fn object(dict: &Bound<'_, PyDict>, path: &Path<'_>, out: &mut Vec<u8>) -> PyResult<()> {
    out.push(b'{');
    // A copy: what is called for a value may change it, and so may another thread.
    for (at, (name, value)) in dict.copy()?.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let name = name.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!("{}: a key of a JSON object must be a str", path.text()))
        })?;
        string(name, path, out)?;
        out.push(b':');
        write(&value, &Path { outer: Some(path), step: Step::Name(name.to_str()?) }, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn array<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    path: &Path<'_>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(&item, &Path { outer: Some(path), step: Step::Index(at) }, out)?;
    }
    out.push(b']');
    Ok(())
}

fn float(number: f64, path: &Path<'_>, out: &mut Vec<u8>) -> PyResult<()> {
    let number = serde_json::Number::from_f64(number)
        .ok_or_else(|| PyValueError::new_err(format!("{}: {number} has no place in JSON", path.text())))?;
    out.extend_from_slice(number.to_string().as_bytes());
    Ok(())
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    // A string always encodes, and a `Vec` takes every byte.
    let _ = serde_json::to_writer(out, text);
}

/// Deeper than any schema, and shallower than the stack.
const MAX_DEPTH: usize = 120;
