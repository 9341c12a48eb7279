//! SIGPROF: its handler writes the interrupted stack into a slot, which the profile that asked for it empties.
//!
//! Only one profile at a time uses the slots: who holds the [`Slots`]. The handler stays installed, since a late
//! signal would otherwise end the process.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::stack::Frames;

/// Stacks that fit between two looks at the slots: 16 busy cores at 100 samples a second, looked at five times a
/// second, fill 320. What does not fit is counted.
const SLOTS: usize = 512;

/// A slot's states. Only its own handler leaves `WRITING`, only the profile leaves `FULL`.
const FREE: u8 = 0;
const WRITING: u8 = 1;
const FULL: u8 = 2;

struct Slot {
    state: AtomicU8,
    taken: UnsafeCell<Taken>,
}

/// What the handler saw.
struct Taken {
    thread: libc::pid_t,
    frames: Frames,
}

#[allow(unsafe_code, reason = "shared with a signal handler")]
// SAFETY: `state` says who may touch `taken`: the handler that set WRITING, or the profile that found FULL.
unsafe impl Sync for Slot {}

/// The slots, for the handler; null until the first profile. Never freed: a handler may still be in them.
static SHARED: AtomicPtr<[Slot; SLOTS]> = AtomicPtr::new(std::ptr::null_mut());
/// Where the handler begins to look for a free slot.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Stacks that found no free slot.
static LOST: AtomicU64 = AtomicU64::new(0);
/// Whether a profile has the slots.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to use SIGPROF, which one profile at a time has.
pub(crate) struct Slots(&'static [Slot; SLOTS]);

/// Why a profile cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("another profile of stacks is being taken")]
    Busy,
    #[error("SIGPROF cannot be handled: {0}")]
    Signal(io::Error),
}

impl Slots {
    /// Takes the right to use SIGPROF, and prepares for it.
    pub(crate) fn acquire() -> Result<Self, Unavailable> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return Err(Unavailable::Busy);
        }
        let slots = Self(shared());
        // The unwinder's first use may prepare itself, which is nothing for a handler.
        Frames::empty().take(0);
        install().map_err(Unavailable::Signal)?;
        // What a former profile left behind.
        slots.drain(|_, _| {});
        LOST.store(0, Ordering::Relaxed);
        Ok(slots)
    }

    /// Hands over every stack that was taken since the last call, with the thread it was of.
    #[allow(unsafe_code, reason = "shared with a signal handler")]
    pub(crate) fn drain(&self, mut take: impl FnMut(libc::pid_t, &[usize])) {
        for slot in self.0 {
            if slot.state.load(Ordering::Acquire) == FULL {
                // SAFETY: a full slot is the profile's, and there is only one (`TAKEN`).
                let taken = unsafe { &*slot.taken.get() };
                take(taken.thread, taken.frames.addresses());
                slot.state.store(FREE, Ordering::Release);
            }
        }
    }

    /// Stacks that found no room.
    pub(crate) fn lost(&self) -> u64 {
        LOST.load(Ordering::Relaxed)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

fn shared() -> &'static [Slot; SLOTS] {
    static SLOTS_MADE: OnceLock<&'static [Slot; SLOTS]> = OnceLock::new();
    SLOTS_MADE.get_or_init(|| {
        let slots: Vec<Slot> = (0..SLOTS).map(|_| Slot::free()).collect();
        let slots: Box<[Slot; SLOTS]> = slots
            .into_boxed_slice()
            .try_into()
            .unwrap_or_else(|_| unreachable!("made with this many"));
        let slots: &'static [Slot; SLOTS] = Box::leak(slots);
        SHARED.store(std::ptr::from_ref(slots).cast_mut(), Ordering::Release);
        slots
    })
}

impl Slot {
    fn free() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            taken: UnsafeCell::new(Taken {
                thread: 0,
                frames: Frames::empty(),
            }),
        }
    }

    fn claim(&self) -> bool {
        self.state
            .compare_exchange(FREE, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

#[allow(unsafe_code, reason = "signal handling is C's interface")]
fn install() -> io::Result<()> {
    // SAFETY: all zeros is a valid `sigaction`; the handler has the signature that SA_SIGINFO asks for and does only
    // what a signal handler may do.
    let refused = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()) != 0
    };
    if refused {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes the interrupted stack. No lock, no allocation; `errno` stays what it was.
#[allow(unsafe_code, reason = "signal handling is C's interface")]
extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: errno is the thread's own; the slots live for ever; `context` is the kernel's, and a claimed slot is
    // this handler's alone.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        match SHARED.load(Ordering::Acquire).as_ref().and_then(claim) {
            Some(slot) => {
                let taken = &mut *slot.taken.get();
                taken.thread = libc::gettid();
                taken.frames.take(interrupted_at(context));
                slot.state.store(FULL, Ordering::Release);
            }
            None => {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        *errno = before;
    }
}

/// A free slot, if one is found within a few tries.
fn claim(slots: &[Slot; SLOTS]) -> Option<&Slot> {
    (0..8)
        .map(|_| &slots[NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS])
        .find(|slot| slot.claim())
}

/// The address of the instruction that the signal interrupted; 0 on machines whose registers are not known here,
/// where stacks then begin in the handler.
#[allow(
    unsafe_code,
    reason = "the kernel's description of the interrupted thread"
)]
unsafe fn interrupted_at(context: *mut c_void) -> usize {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel passes a valid context to a handler with SA_SIGINFO.
    let address = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] } as usize;
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    let address = unsafe { (*context).uc_mcontext.pc } as usize;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let address = {
        let _unknown = context;
        0
    };
    address
}
