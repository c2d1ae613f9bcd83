//! Objects of the package's own classes (`tidegate.types.utils`), made without a call of their `__init__`.
//!
//! An object is a class and a dict of the fields that are not at their defaults: the class has the defaults.

use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyType},
};
use serde_json::Value;

use crate::convert;

/// The classes.
pub(crate) struct Shapes {
    pub(crate) model_response: Py<PyType>,
    pub(crate) model_response_stream: Py<PyType>,
    pub(crate) choices: Py<PyType>,
    pub(crate) streaming_choices: Py<PyType>,
    pub(crate) message: Py<PyType>,
    pub(crate) delta: Py<PyType>,
    pub(crate) usage: Py<PyType>,
    pub(crate) usage_details: Py<PyType>,
    pub(crate) function: Py<PyType>,
    pub(crate) custom: Py<PyType>,
    pub(crate) tool_call: Py<PyType>,
    pub(crate) delta_tool_call: Py<PyType>,
    pub(crate) logprobs: Py<PyType>,
    /// `object.__new__`.
    new: Py<PyAny>,
}

impl Shapes {
    pub(crate) fn of(py: Python<'_>) -> PyResult<&Self> {
        static SHAPES: PyOnceLock<Shapes> = PyOnceLock::new();
        SHAPES.get_or_try_init(py, || {
            let module = py.import("tidegate.types.utils")?;
            let class = |name: &str| -> PyResult<Py<PyType>> {
                Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok(Self {
                model_response: class("ModelResponse")?,
                model_response_stream: class("ModelResponseStream")?,
                choices: class("Choices")?,
                streaming_choices: class("StreamingChoices")?,
                message: class("Message")?,
                delta: class("Delta")?,
                usage: class("Usage")?,
                usage_details: class("UsageDetails")?,
                function: class("Function")?,
                custom: class("Custom")?,
                tool_call: class("ChatCompletionMessageToolCall")?,
                delta_tool_call: class("ChatCompletionDeltaToolCall")?,
                logprobs: class("ChoiceLogprobs")?,
                new: py.import("builtins")?.getattr("object")?.getattr("__new__")?.unbind(),
            })
        })
    }

    /// An object of `class` with these fields.
    pub(crate) fn make<'py>(
        &self,
        py: Python<'py>,
        class: &Py<PyType>,
        fields: Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let made = self.new.bind(py).call1((class,))?;
        made.setattr(pyo3::intern!(py, "__dict__"), fields)?;
        Ok(made)
    }

    /// `value` as an object of `class` if it is a JSON object, else as it is.
    pub(crate) fn object<'py>(
        &self,
        py: Python<'py>,
        class: &Py<PyType>,
        value: &Value,
    ) -> PyResult<Bound<'py, PyAny>> {
        let converted = convert::to_python(py, value)?;
        match converted.cast_into::<PyDict>() {
            Ok(fields) => self.make(py, class, fields),
            Err(other) => Ok(other.into_inner()),
        }
    }
}
