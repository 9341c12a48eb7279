//! Call stacks of the running thread, as addresses.
//!
//! They come from the unwinder that panics use: every function has its tables, so no frame pointers are needed. With
//! glibc 2.35 and GCC 12 or newer it finds them without a lock, so it may run inside a signal handler.

use std::ffi::{c_int, c_void};

/// Frames kept of one stack, innermost first; what called those is cut off.
pub(crate) const DEPTH: usize = 128;

/// One stack. Lives in fixed memory, because it is taken where nothing may be allocated.
pub(crate) struct Frames {
    addresses: [usize; DEPTH],
    len: usize,
    /// Where the stack begins: frames further in belong to whoever takes it. 0 keeps all.
    from: usize,
}

/// What the unwinder knows of the frame it is at.
#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

const CONTINUE: c_int = 0;
const STOP: c_int = 5;

#[allow(unsafe_code, reason = "the unwinder's C interface")]
unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*mut Context, *mut c_void) -> c_int,
        frames: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut Context, before: *mut c_int) -> usize;
}

impl Frames {
    /// None.
    pub(crate) const fn empty() -> Self {
        Self {
            addresses: [0; DEPTH],
            len: 0,
            from: 0,
        }
    }

    /// The stack of the caller, from the frame that is at the address `from` on; 0 is all of it. If there is no such
    /// frame, it is that address alone.
    ///
    /// Neither allocates nor locks.
    #[allow(unsafe_code, reason = "the unwinder's C interface")]
    pub(crate) fn take(&mut self, from: usize) {
        self.len = 0;
        self.from = from;
        // SAFETY: the unwinder calls `visit` with the pointer it is given, and only before it returns.
        unsafe { _Unwind_Backtrace(visit, std::ptr::from_mut(self).cast()) };
        if self.len == 0 && from != 0 {
            self.addresses[0] = from;
            self.len = 1;
        }
    }

    /// Innermost first. Of callers it is the call, not where it returns to.
    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses[..self.len]
    }

    /// Whether there is room for more.
    fn push(&mut self, address: usize) -> bool {
        self.addresses[self.len] = address;
        self.len += 1;
        self.len < DEPTH
    }
}

#[allow(unsafe_code, reason = "the unwinder's C interface")]
extern "C" fn visit(context: *mut Context, frames: *mut c_void) -> c_int {
    let mut before: c_int = 0;
    // SAFETY: `frames` is the exclusive reference that `take` passed on, and `context` the unwinder's.
    let (frames, address) = unsafe {
        (
            &mut *frames.cast::<Frames>(),
            _Unwind_GetIPInfo(context, &raw mut before),
        )
    };
    if address == 0 {
        return STOP;
    }
    if frames.len == 0 && frames.from != 0 && address != frames.from {
        return CONTINUE;
    }
    let interrupted = before != 0;
    let address = if interrupted { address } else { address - 1 };
    if frames.push(address) { CONTINUE } else { STOP }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[inline(never)]
    fn nested(depth: usize, frames: &mut Frames) -> usize {
        if depth == 0 {
            frames.take(0);
            return 0;
        }
        std::hint::black_box(nested(depth - 1, frames)) + 1
    }

    #[test]
    fn a_stack_holds_its_callers_and_no_more_than_its_depth() {
        let mut frames = Frames::empty();
        nested(5, &mut frames);
        let short = frames.addresses().len();
        nested(15, &mut frames);
        assert_eq!(frames.addresses().len(), short + 10);
        nested(3 * super::DEPTH, &mut frames);
        assert_eq!(frames.addresses().len(), super::DEPTH);
    }

    #[test]
    fn an_address_that_no_frame_has_stands_alone() {
        let mut frames = Frames::empty();
        frames.take(1);
        assert_eq!(frames.addresses(), [1]);
    }
}
