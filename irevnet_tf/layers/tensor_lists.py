"""Lists of tensors that a loop reads and writes at a computed position."""

import math

import tensorflow as tf

# Bytes up to which tensors are stacked into one tensor, and unstacked, instead
# of being passed one by one. That is two operations instead of two for each
# tensor; for larger ones the copies would take time and memory.
SMALL = 65536


class TensorList:
    """A list of tensors of one shape and dtype.

    Args:
        handle: variant tensor. What TensorFlow's operations on lists take.
        shape: tuple of ints. The shape of each tensor.
        dtype: TensorFlow dtype. The dtype of each tensor.
        length: int. The number of tensors.
    """

    def __init__(self, handle, shape, dtype, length):
        self._handle = handle
        self._shape = tf.constant(shape, tf.int32)
        self._dtype = dtype
        self._length = length
        self._is_small = math.prod(shape) * dtype.size <= SMALL

    @classmethod
    def empty(cls, like, length) -> "TensorList":
        """Return a list without any tensors yet.

        Args:
            like: tensor or Keras variable. Has the shape and dtype of the
                tensors that the list is to hold.
            length: int. The number of tensors.
        """
        shape, dtype = tuple(like.shape), tf.as_dtype(like.dtype)
        handle = tf.raw_ops.TensorListReserve(
            element_shape=tf.constant(shape, tf.int32),
            num_elements=length,
            element_dtype=dtype,
        )
        return cls(handle, shape, dtype, length)

    @classmethod
    def of(cls, tensors, indices) -> "TensorList":
        """Return a list of tensors.

        Args:
            tensors: non-empty list of tensors. All of one shape and dtype.
            indices: list of int tensors. Their positions.
        """
        new = cls.empty(tensors[0], len(tensors))
        if new._is_small:
            handle = tf.raw_ops.TensorListFromTensor(
                tensor=tf.stack(tensors), element_shape=new._shape
            )
            return new.with_handle(handle)
        for index, x in zip(indices, tensors, strict=True):
            new = new.written(index, x)
        return new

    @property
    def handle(self):
        """The tensor that represents the list between the rounds of a loop."""
        return self._handle

    def with_handle(self, handle) -> "TensorList":
        """Return the list behind a handle, which a loop has passed on."""
        copy = object.__new__(TensorList)
        copy.__dict__ = {**self.__dict__, "_handle": handle}
        return copy

    def read(self, index):
        """Return the tensor at a position, an int tensor."""
        return tf.raw_ops.TensorListGetItem(
            input_handle=self._handle,
            index=index,
            element_shape=self._shape,
            element_dtype=self._dtype,
        )

    def written(self, index, x) -> "TensorList":
        """Return the list with a tensor at a position."""
        handle = tf.raw_ops.TensorListSetItem(
            input_handle=self._handle, index=index, item=x
        )
        return self.with_handle(handle)

    def tensors(self, indices) -> list:
        """Return all tensors.

        Args:
            indices: list of int tensors. The positions.
        """
        if not self._is_small:
            return [self.read(index) for index in indices]
        stacked = tf.raw_ops.TensorListStack(
            input_handle=self._handle,
            element_shape=self._shape,
            element_dtype=self._dtype,
            num_elements=self._length,
        )
        return tf.unstack(stacked)
