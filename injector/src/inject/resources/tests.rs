//! Classes of service and requirements.
