//! Tensors as handles: what they are, and bytes in and out of them.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use whisper_rs::whisper_rs_sys as sys;

/// How numbers are stored, as ggml numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub(super) sys::ggml_type);

impl Kind {
    /// Single precision.
    pub const F32: Self = Self(sys::ggml_type_GGML_TYPE_F32);
    /// Half precision.
    pub const F16: Self = Self(sys::ggml_type_GGML_TYPE_F16);
    /// The upper half of single precision.
    pub const BF16: Self = Self(sys::ggml_type_GGML_TYPE_BF16);
    /// Blocks of 32 signed bytes and their scale.
    pub const Q8_0: Self = Self(sys::ggml_type_GGML_TYPE_Q8_0);
    /// Indices.
    pub const I32: Self = Self(sys::ggml_type_GGML_TYPE_I32);
    /// Row numbers.
    pub const I64: Self = Self(sys::ggml_type_GGML_TYPE_I64);

    /// The kind that a model file numbers so; its reader has checked that it is one.
    pub fn of_file(number: u32) -> Self {
        Self(number)
    }

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Q8_0 => "q8_0",
            _ => "of another kind",
        }
    }

    /// Numbers that are stored together.
    pub fn block(self) -> usize {
        // SAFETY: a number of ggml's list; reads a table
        usize::try_from(unsafe { sys::ggml_blck_size(self.0) }).unwrap_or(1)
    }

    /// Bytes of a row of so many numbers, whole blocks of them.
    pub fn row_bytes(self, numbers: usize) -> usize {
        // SAFETY: as above
        let block_bytes = unsafe { sys::ggml_type_size(self.0) };
        numbers / self.block() * block_bytes
    }

    /// Whether it is made of blocks with scales.
    pub fn is_quantised(self) -> bool {
        self.block() > 1
    }

    /// Numbers stored in this kind, as single precision.
    ///
    /// # Errors
    /// A kind that holds no fractions, or bytes that are not whole blocks.
    pub fn to_f32(self, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), String> {
        let block_bytes = self.row_bytes(self.block());
        let numbers = bytes.len() / block_bytes * self.block();
        out.clear();
        if self == Self::F32 {
            out.extend(bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)));
            return Ok(());
        }
        // SAFETY: a number of ggml's list; the table lives as long as the program
        let convert = unsafe { sys::ggml_get_type_traits(self.0).as_ref() }.and_then(|traits| traits.to_float);
        let convert = convert.filter(|_| bytes.len().is_multiple_of(block_bytes));
        let convert = convert.ok_or_else(|| format!("bytes that are no numbers of type {}", self.0))?;
        out.resize(numbers, 0.0);
        // SAFETY: the bytes are whole blocks of the kind, unaligned ones are allowed (they are read byte-wise or as
        // packed halves), and there is room for as many numbers
        unsafe { convert(bytes.as_ptr().cast(), out.as_mut_ptr(), i64::try_from(numbers).unwrap_or_default()) };
        Ok(())
    }

    /// Rows of `width` numbers, stored in this kind.
    pub fn from_f32(self, numbers: &[f32], width: usize) -> Vec<u8> {
        let rows = numbers.len() / width.max(1);
        let mut bytes = vec![0; rows * self.row_bytes(width)];
        if self == Self::F32 {
            for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
                *bytes = number.to_le_bytes();
            }
            return bytes;
        }
        let (rows, width) = (i64::try_from(rows).unwrap_or_default(), i64::try_from(width).unwrap_or_default());
        // SAFETY: there are rows x width numbers, and room for them in this kind; the kinds we store in need no importance
        unsafe {
            let out = bytes.as_mut_ptr().cast();
            sys::ggml_quantize_chunk(self.0, numbers.as_ptr(), out, 0, rows, width, std::ptr::null());
        }
        bytes
    }
}

/// A number that tensors take as it is.
pub trait Number: Copy + private::Sealed {
    /// The kind of tensors of it.
    const KIND: Kind;
}

mod private {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty => $kind:ident),*) => { $(
        impl private::Sealed for $number {}
        impl Number for $number { const KIND: Kind = Kind::$kind; }
    )* };
}

numbers!(f32 => F32, half::f16 => F16, i32 => I32, i64 => I64);

/// A tensor of a store (which lives as long as the program) or of a graph.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'g> {
    pub(super) raw: NonNull<sys::ggml_tensor>,
    pub(super) owner: PhantomData<&'g ()>,
}

// SAFETY: a handle; what it points at is written only through the graph or the store that owns it
unsafe impl Send for Tensor<'_> {}
// SAFETY: as above
unsafe impl Sync for Tensor<'_> {}

impl Tensor<'_> {
    pub(super) fn new(raw: *mut sys::ggml_tensor) -> Self {
        // ggml ends the process where it has no room for another; null would be a bug of it
        Self { raw: NonNull::new(raw).unwrap_or_else(|| std::process::abort()), owner: PhantomData }
    }

    fn fields(&self) -> &sys::ggml_tensor {
        // SAFETY: the owner is alive, and keeps the description where it is
        unsafe { self.raw.as_ref() }
    }

    /// Length of dimension `index`, innermost first.
    pub fn dim(&self, index: usize) -> usize {
        self.fields().ne.get(index).and_then(|n| usize::try_from(*n).ok()).unwrap_or(1)
    }

    /// Bytes from one index of dimension `index` to the next.
    pub fn step(&self, index: usize) -> usize {
        self.fields().nb.get(index).copied().unwrap_or_default()
    }

    /// How its numbers are stored.
    pub fn kind(&self) -> Kind {
        Kind(self.fields().type_)
    }

    /// All its bytes.
    pub fn bytes(&self) -> usize {
        // SAFETY: the owner is alive; reads the description
        unsafe { sys::ggml_nbytes(self.raw.as_ptr()) }
    }

    fn has_memory(&self) -> bool {
        let fields = self.fields();
        // SAFETY: a view's source lives as long as the view
        let source = unsafe { fields.view_src.as_ref() };
        !fields.data.is_null() && !source.map_or(fields.buffer, |source| source.buffer).is_null()
    }

    /// Writes bytes from `offset` on.
    ///
    /// # Errors
    /// They do not fit, or it has no memory.
    pub(super) fn write(&self, bytes: &[u8], offset: usize) -> Result<(), String> {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.bytes()) || !self.has_memory() {
            return Err(format!("bug: {} bytes for a tensor of {}", bytes.len(), self.bytes()));
        }
        // SAFETY: it has memory, and the bytes lie within it
        unsafe { sys::ggml_backend_tensor_set(self.raw.as_ptr(), bytes.as_ptr().cast(), offset, bytes.len()) };
        Ok(())
    }

    /// Numbers from number `first` on, `count` of them: where they lie, if the processor can read that, else copied.
    ///
    /// # Errors
    /// They are of another kind, are not there, or have no memory.
    pub(super) fn read(&self, first: usize, count: usize) -> Result<Cow<'_, [f32]>, String> {
        let (offset, bytes) = (first * 4, count * 4);
        if self.kind() != Kind::F32 || offset + bytes > self.bytes() || !self.has_memory() {
            return Err(format!("bug: {count} numbers of a tensor of {} bytes", self.bytes()));
        }
        let fields = self.fields();
        // SAFETY: a view's source lives as long as the view; the buffer is not null
        let on_host = unsafe {
            let source = fields.view_src.as_ref().map_or(fields.buffer, |source| source.buffer);
            sys::ggml_backend_buffer_is_host(source)
        };
        // SAFETY: it has memory, and the numbers lie within it, aligned as ggml's buffers are
        if on_host {
            let numbers = unsafe { slice::from_raw_parts(fields.data.cast::<f32>().add(first), count) };
            return Ok(Cow::Borrowed(numbers));
        }
        let mut numbers = vec![0.0_f32; count];
        // SAFETY: as above, and there is room for them
        unsafe { sys::ggml_backend_tensor_get(self.raw.as_ptr(), numbers.as_mut_ptr().cast(), offset, bytes) };
        Ok(Cow::Owned(numbers))
    }

    /// Whole numbers, copied.
    ///
    /// # Errors
    /// As [`Tensor::read`].
    pub(super) fn read_i32(&self, count: usize) -> Result<Vec<i32>, String> {
        if self.kind() != Kind::I32 || count * 4 > self.bytes() || !self.has_memory() {
            return Err(format!("bug: {count} indices of a tensor of {} bytes", self.bytes()));
        }
        let mut numbers = vec![0_i32; count];
        // SAFETY: it has memory, the numbers lie within it, and there is room for them
        unsafe { sys::ggml_backend_tensor_get(self.raw.as_ptr(), numbers.as_mut_ptr().cast(), 0, count * 4) };
        Ok(numbers)
    }
}

/// The bytes of numbers.
pub(super) fn bytes_of<N: Number>(numbers: &[N]) -> &[u8] {
    // SAFETY: these kinds of numbers have no padding, and any byte may be read
    unsafe { slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}
