"""Names that settings of an export can have; importable without NumPy, Pillow and Paddle, to check a command."""

GRAPHS = ("paddle", "onnx", "openvino")
ENGINE_NAMES = ("jit", "inference", "onnxruntime", "openvino")
FASTEST = "auto"
"""In place of an engine: the fastest, as measured."""

ENGINE_MODES = ("latency", "throughput")
"""Of OpenVINO: all threads for a batch, or streams that share it."""

LAYOUTS = {"float": "NCHW", "uint8": "NHWC"}
"""What a graph takes, and how it lies in memory."""

OUTPUTS = ("logits", "probabilities", "features")
QUANTIZED = ("int8",)
TENSORRT_PRECISIONS = {"fp32": "Float32", "fp16": "Half", "int8": "Int8"}
"""Name of Paddle's ``PrecisionType`` for each."""
