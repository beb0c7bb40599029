//! What can go wrong while judging.

/// Why something could not be judged. A wrong build is a finding, not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A file starts like an ELF file, but its tables contradict each other or point outside it.
    #[error("the ELF file is damaged: {0}")]
    Elf(&'static str),
}
