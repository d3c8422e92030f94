//! Options as pods, namespaces and the mesh say them.
