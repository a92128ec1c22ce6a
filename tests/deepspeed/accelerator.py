"""What DeepSpeed takes these CPU tensors for."""
from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator

import streams


class Accelerator(CPU_Accelerator):
    """DeepSpeed's accelerator for the CPU. With `beside` it is a device that works on streams, as a GPU does;
    else it is the plain CPU, where every collective is over when its call returns."""

    def __init__(self, backend, beside):
        super().__init__()
        self._communication_backend_name = backend
        self._beside = beside

    def device_count(self):
        return 1

    def is_synchronized_device(self):
        return not self._beside

    def use_host_timers(self):
        return True

    def handles_memory_backpressure(self):
        return True

    @property
    def Stream(self):
        return streams.Stream if self._beside else None

    @property
    def Event(self):
        return streams.Event if self._beside else None

    def stream(self, stream):
        return streams.run_on(stream)

    def current_stream(self, device_index=None):
        return streams.current_stream() if self._beside else None

    def default_stream(self, device_index=None):
        return streams.default_stream if self._beside else None

    def synchronize(self, device_index=None):
        if self._beside:
            streams.synchronize_all()

    def create_op_builder(self, class_name):
        return None  # nothing is compiled
