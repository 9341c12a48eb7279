//! SPIFFE certificate authority of the mesh.
