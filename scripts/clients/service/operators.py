"""Which operators an exported graph may hold: those that compute. Read before anything loads the file.

An operator of Paddle can write and read files, call Python, send and receive. A file from a stranger
is therefore read here first, byte by byte, and whatever is not known to do nothing but arithmetic is
named. Needs the standard library alone: ``scripts/clients/service/operators.py`` is a copy.
"""

import math
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

NAMES = """
abs acos acosh addmm angle asin asinh atan atan2 atanh brelu ceil celu clip clip_by_norm complex conj cos cosh
digamma elementwise_add elementwise_div elementwise_floordiv elementwise_fmax elementwise_fmin elementwise_heaviside
elementwise_max elementwise_min elementwise_mod elementwise_mul elementwise_pow elementwise_sub elu erf erfinv exp
expm1 floor gelu grad_add hard_shrink hard_sigmoid hard_swish i0 i0e i1 i1e imag increment leaky_relu lerp lgamma
log log10 log1p log2 logit logsigmoid maxout minus mish nextafter polygamma pow prelu real reciprocal relu relu6
round rrelu rsqrt scale selu sigmoid sign silu sin sinh soft_relu softplus softshrink softsign sqrt square stanh sum
swish tan tanh tanh_shrink thresholded_relu trunc
allclose bitwise_and bitwise_not bitwise_or bitwise_xor equal equal_all greater_equal greater_than is_empty isclose
isfinite_v2 isinf isinf_v2 isnan isnan_v2 less_equal less_than logical_and logical_not logical_or logical_xor
not_equal
arg_max arg_min argsort bincount cummax cummin cumprod cumsum frobenius_norm histogram kthvalue logcumsumexp
logsumexp mean mode nanmedian norm p_norm reduce_all reduce_amax reduce_amin reduce_any reduce_max reduce_mean
reduce_min reduce_prod reduce_sum searchsorted squared_l2_norm l1_norm top_k top_k_v2
bilinear_tensor_product bmm cholesky cholesky_solve cross determinant dist dot eig eigh eigvals eigvalsh einsum fc
fft_c2c fft_c2r fft_r2c inverse kron lstsq lu lu_unpack matmul matmul_v2 matrix_power matrix_rank mul multi_dot mv
qr slogdeterminant solve svd triangular_solve
as_complex as_real assign broadcast_tensors cast channel_shuffle concat crop crop_tensor diag_embed diag_v2 diagonal
expand expand_as_v2 expand_v2 fill_diagonal fill_diagonal_tensor flatten2 flatten_contiguous_range flip frame gather
gather_nd gather_tree im2sequence index_add index_put index_sample index_select masked_select meshgrid multiplex
one_hot_v2 overlap_add pad pad2d pad3d pixel_shuffle pixel_unshuffle put_along_axis repeat_interleave reshape
reshape2 reverse roll scatter scatter_nd_add select_input select_output sequence_mask set_value shape shard_index
share_data shuffle_channel size slice split squeeze2 stack strided_slice take_along_axis temporal_shift tile trace
transpose transpose2 tril_triu unbind unfold fold unique unique_consecutive unsqueeze2 unstack where where_index
affine_channel affine_grid batch_norm bicubic_interp bicubic_interp_v2 bilinear_interp bilinear_interp_v2 conv2d
conv2d_transpose conv3d conv3d_transpose data_norm deformable_conv deformable_conv_v1 depthwise_conv2d
depthwise_conv2d_transpose dropout dropout_nd flash_attn grid_sampler group_norm gru gru_unit gumbel_softmax
instance_norm label_smooth layer_norm linear_interp linear_interp_v2 log_softmax lookup_table_v2 lrn lstm
max_pool2d_with_index max_pool3d_with_index memory_efficient_attention nearest_interp nearest_interp_v2 pool2d
pool3d psroi_pool renorm rms_norm rnn roi_align roi_pool row_conv softmax spectral_norm spp sync_batch_norm
trilinear_interp trilinear_interp_v2 unpool unpool3d
dequantize dequantize_abs_max dequantize_linear dequantize_log fake_channel_wise_dequantize_max_abs
fake_channel_wise_quantize_abs_max fake_channel_wise_quantize_dequantize_abs_max fake_dequantize_max_abs
fake_quantize_abs_max fake_quantize_dequantize_abs_max fake_quantize_dequantize_moving_average_abs_max
fake_quantize_moving_average_abs_max fake_quantize_range_abs_max moving_average_abs_max_scale quantize
quantize_linear requantize
fused_bias_act fused_bias_dropout_residual_layer_norm fused_conv2d fused_conv2d_add_act fused_conv3d
fused_dropout_add fused_elementwise_add fused_elementwise_div fused_elementwise_mul fused_elementwise_sub
fused_elemwise_activation fused_elemwise_add_activation fused_fc_elementwise_layernorm fused_matmul
fused_scale_bias_add_relu fused_scale_bias_relu_conv_bn fused_softmax_mask fused_softmax_mask_upper_triangle
fused_softplus fused_transpose fusion_gru fusion_lstm fusion_repeated_fc_relu fusion_squared_mat_sub
fusion_transpose_flatten_concat multihead_matmul skip_layernorm squeeze_excitation_block
assign_value bernoulli eye fill_any fill_any_like fill_constant fill_constant_batch_size_like fill_zeros_like
fill_zeros_like2 full_int_array gaussian_random linspace logspace multinomial randint randperm range seed
tril_indices triu_indices truncated_gaussian_random uniform_random uniform_random_batch_size_like conditional_block
conditional_block_infer feed fetch
"""
ALLOWED = frozenset(NAMES.split())
"""Operators of Paddle 2.6: elementwise, comparisons, reductions, linear algebra, shapes and indices, layers, quantised
ones, fused ones, and tensors to begin with. Left out are those that never end (``while``), that see other memory than
their tensors' (``as_strided``, ``empty``), that train, and those of files, processes, Python and other engines.
"""

PADDLE_BLOCKS, PADDLE_OPERATORS, PADDLE_TYPE = 1, 4, 3
"""Fields of ProgramDesc, BlockDesc and OpDesc in Paddle's framework.proto."""

LOADED_TOO = (".info", ".pdmodel", ".pdiparams")
"""``paddle.jit.load`` unpickles ``inference.pdiparams.info``, and takes every other program there for a method."""

ONNX_DOMAINS = ("", "ai.onnx")
ONNX_ENDLESS = ("Loop",)
DEEPEST = 16
"""Graphs inside operators inside graphs; ONNX has no more of them than a program has nested blocks."""

OPENVINO_NAMES = """
Abs Acos Acosh AdaptiveAvgPool AdaptiveMaxPool Add Asin Asinh Atan Atanh AvgPool BatchNormInference BatchToSpace
BinaryConvolution BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Broadcast Bucketize Ceiling Clamp Col2Im Concat Const
Convert ConvertLike Convolution ConvolutionBackpropData Cos Cosh CumSum DFT DeformableConvolution DepthToSpace Divide
Einsum Elu Equal Erf Exp ExtractImagePatches Eye FakeConvert FakeQuantize Floor FloorMod GRN Gather GatherElements
GatherND Gelu Greater GreaterEqual GridSample GroupConvolution GroupConvolutionBackpropData GroupNormalization HSigmoid
HSwish HardSigmoid IDFT IRDFT Identity Interpolate Inverse IsFinite IsInf IsNaN LRN Less LessEqual Log LogSoftmax
LogicalAnd LogicalNot LogicalOr LogicalXor MVN MatMul MaxPool Maximum Minimum Mish Mod Multiply Negative NormalizeL2
NotEqual OneHot PReLU Pad Parameter Power RDFT ROIAlign ROIPooling Range ReLU ReduceL1 ReduceL2 ReduceLogicalAnd
ReduceLogicalOr ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Result Roll Round
ScaledDotProductAttention ScatterElementsUpdate ScatterNDUpdate ScatterUpdate Select Selu ShapeOf ShuffleChannels
Sigmoid Sign Sin Sinh Slice SoftMax SoftPlus SoftSign Softmax SpaceToBatch SpaceToDepth Split Sqrt SquaredDifference
Squeeze StridedSlice Subtract Swish Tan Tanh Tile TopK Transpose Unsqueeze VariadicSplit
"""
OPENVINO_ALLOWED = frozenset(OPENVINO_NAMES.split())
"""Operators of OpenVINO's own sets. Left out are those with graphs inside, with a memory, and of texts."""

OPENVINO_SET = re.compile(r"opset\d{1,2}")
OPENVINO_VERSION = "11"
OPENVINO_XML_BYTES = 64 << 20
"""A network of 500 layers takes 1 MB."""

OPENVINO_ELEMENTS = 2_000_000
XML_START = b'<?xml version="1.0"?>'
NOT_PLAIN_XML = re.compile(rb"<[!?]|\0|&(?!(?:amp|lt|gt|quot|apos|#\d{1,7});)")
"""Declarations, comments, instructions and entities of one's own: where two readers could see two things."""

ELEMENT_BITS = {"boolean": 8, "bf16": 16} | {f"f{bits}": bits for bits in (16, 32, 64)}
ELEMENT_BITS |= {f"{kind}{bits}": bits for kind in "iu" for bits in (4, 8, 16, 32, 64)}
DIMENSIONS = re.compile(r"(\d{1,12}(, ?\d{1,12}){0,15})?")

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}


class Refused(ValueError):
    """A model file that is not run; the message says why, not where."""


def check_model(directory: str | Path, name: str = "inference") -> None:
    """Look through the model file of an export, and what lies beside it.

    It is ``<name>.pdmodel``, ``<name>.onnx``, or ``<name>.xml`` with the tensors of ``<name>.bin``.

    Raises:
        Refused: it is no such file, or holds what is not allowed, or Paddle would load further files with it.
        OSError: it cannot be read.
    """
    directory = Path(directory)
    if (directory / f"{name}.onnx").is_file():
        _check_file(directory / f"{name}.onnx", _onnx_faults)
        return
    if (directory / f"{name}.xml").is_file():
        size = (directory / f"{name}.bin").stat().st_size
        _check_file(directory / f"{name}.xml", lambda text: _openvino_faults(text, size))
        return
    _check_file(directory / f"{name}.pdmodel", _paddle_faults)
    known = {f"{name}.pdmodel", f"{name}.pdiparams"}
    beside = (path.name for path in directory.iterdir() if path.suffix in LOADED_TOO and path.name.startswith(name))
    if others := sorted(set(beside) - known):
        raise Refused(f"beside the model there is {others[0]}, which Paddle would load too: delete it")


def _check_file(path: Path, faults_of) -> None:
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise Refused(f"{path.name} is empty")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # up to 2 GB, most of it jumped over
        try:
            found = sorted(set(faults_of(memoryview(content))))
        except ValueError as error:
            raise Refused(f"{path.name} is no model file: {error}") from None
    if found:
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise Refused(f"{path.name} holds {shown}, and only operators that compute are run")


def _paddle_faults(program: memoryview) -> Iterator[str]:
    blocks = list(_parts(program, PADDLE_BLOCKS))
    if not blocks:
        raise ValueError("it has no program")
    for block in blocks:
        for operator in _parts(block, PADDLE_OPERATORS):
            types = [_text(value) for value in _parts(operator, PADDLE_TYPE)]
            yield from (f"the operator {name}" for name in types if name not in ALLOWED)
            if not types:
                yield "an operator without a name"


def _onnx_faults(model: memoryview) -> Iterator[str]:
    """Fields are those of onnx.proto: ModelProto 7 graph, 8 opset_import, 20 training_info, 25 functions."""
    for imported in _parts(model, 8):
        yield from (f"the domain {d}" for d in map(_text, _parts(imported, 1)) if d not in ONNX_DOMAINS)
    for number, what in ((20, "training"), (25, "functions of its own")):
        if any(True for _ in _parts(model, number)):
            yield what
    graphs = list(_parts(model, 7))
    if not graphs:
        raise ValueError("it has no graph")
    for graph in graphs:
        yield from _graph_faults(graph, DEEPEST)


def _graph_faults(graph: memoryview, deepest: int) -> Iterator[str]:
    """GraphProto: 1 node, 5 initializer, 15 sparse_initializer."""
    if not deepest:
        raise ValueError(f"more than {DEEPEST} graphs inside each other")
    for node in _parts(graph, 1):  # NodeProto: 4 op_type, 5 attribute, 7 domain
        names = [_text(name) for name in _parts(node, 4)]
        for domain in map(_text, _parts(node, 7)):
            if domain not in ONNX_DOMAINS:
                yield f"the operator {domain}::{'/'.join(names)}"
        yield from (f"the operator {name}" for name in names if name in ONNX_ENDLESS)
        for attribute in _parts(node, 5):  # AttributeProto: 5 t, 10 tensors, 6 g, 11 graphs, 22 and 23 sparse
            for number in (6, 11):
                for inner in _parts(attribute, number):
                    yield from _graph_faults(inner, deepest - 1)
            for number in (5, 10):
                yield from _tensor_faults(_parts(attribute, number))
            for number in (22, 23):
                yield from _sparse_faults(_parts(attribute, number))
    yield from _tensor_faults(_parts(graph, 5))
    yield from _sparse_faults(_parts(graph, 15))


def _openvino_faults(text: memoryview, size: int) -> Iterator[str]:
    """Of OpenVINO's description of a graph; ``size`` is that of the file with its tensors."""
    if len(text) > OPENVINO_XML_BYTES:
        raise ValueError(f"it has more than {OPENVINO_XML_BYTES >> 20} MiB")
    content = bytes(text)
    if not content.startswith(XML_START) or NOT_PLAIN_XML.search(content, len(XML_START)):
        raise ValueError("it is not XML as OpenVINO writes it, plain elements and no more")
    faults, inside, elements = [], [], 0

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > OPENVINO_ELEMENTS or len(inside) > DEEPEST:
            raise ValueError(f"more than {OPENVINO_ELEMENTS:,} elements, or {DEEPEST} inside each other")
        faults.extend(_element_faults(element, attributes, inside, size))
        inside.append((element, attributes.get("type")))

    reader = expat.ParserCreate("UTF-8")
    reader.StartElementHandler = start
    reader.EndElementHandler = lambda _: inside.pop()
    try:
        reader.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is damaged ({error})") from None
    yield from faults


def _element_faults(element: str, attributes: dict[str, str], inside: list, size: int) -> Iterator[str]:
    if not inside and (element, attributes.get("version")) != ("net", OPENVINO_VERSION):
        yield f"a description of another version than {OPENVINO_VERSION}"
    if element == "layer":
        if attributes.get("type") not in OPENVINO_ALLOWED:
            yield f"the operator {attributes.get('type', '')[:200]}"
        if not OPENVINO_SET.fullmatch(attributes.get("version", "")):
            yield f"operators of the set {attributes.get('version', '')[:200]}"
    elif element in ("body", "pre-process"):
        yield f"a part {element}"
    elif element == "data" and inside and inside[-1] == ("layer", "Const"):
        numbers = [attributes.get(key, "") for key in ("offset", "size")]
        bits, shape = ELEMENT_BITS.get(attributes.get("element_type", "")), attributes.get("shape", "")
        if not all(re.fullmatch(r"\d{1,15}", number) for number in numbers) or sum(map(int, numbers)) > size:
            yield "a tensor that is not in its file"
        elif bits is None or not DIMENSIONS.fullmatch(shape):
            yield "a tensor of another kind"
        elif -(-math.prod(map(int, shape.split(",") if shape else ())) * bits // 8) > int(numbers[1]):
            yield "a tensor that is longer than its place"


def _tensor_faults(tensors: Iterator[memoryview]) -> Iterator[str]:
    """TensorProto: 13 external_data, which is a path, and 14 data_location, 1 where that counts."""
    for tensor in tensors:
        if any(True for _ in _parts(tensor, 13)) or any(_fields(tensor, 14)):
            yield "a tensor that lies in another file"


def _sparse_faults(tensors: Iterator[memoryview]) -> Iterator[str]:
    for tensor in tensors:  # SparseTensorProto: 1 values, 2 indices
        for number in (1, 2):
            yield from _tensor_faults(_parts(tensor, number))


def _text(value: memoryview) -> str:
    return bytes(value[:200]).decode("utf-8", "backslashreplace")


def _parts(message: memoryview, number: int) -> Iterator[memoryview]:
    """Strings and messages of a message's field of this number."""
    for value in _fields(message, number):
        if isinstance(value, int):
            raise ValueError(f"field {number} is a number")
        yield value


def _fields(message: memoryview, wanted: int) -> Iterator[int | memoryview]:
    """Values of one field, read exactly as protobuf's own reader does, or not at all.

    What two readers see differently is a hiding place: numbers of fields that are longer than 32 bits,
    which protobuf cuts off, and groups, which it skips, are errors here.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position, 5)
        number, wire_type = tag >> 3, tag & 7
        if tag >= 1 << 32 or not number:
            raise ValueError(f"a field without a number at byte {position}")
        if wire_type == VARINT:
            value, position = _varint(message, position, 10)
        elif wire_type == LENGTH_DELIMITED or wire_type in SIZES:
            if wire_type == LENGTH_DELIMITED:
                size, position = _varint(message, position, 5)
            else:
                size = SIZES[wire_type]
            if position + size > len(message):
                raise ValueError(f"{size} bytes at byte {position} do not fit")
            value = message[position : position + size]
            position += size
        else:
            raise ValueError(f"a field of kind {wire_type} at byte {position}")
        if number == wanted:
            yield value


def _varint(message: memoryview, position: int, longest: int) -> tuple[int, int]:
    value = 0
    for place in range(longest):
        if position + place >= len(message):
            break
        byte = message[position + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise ValueError(f"an unfinished number at byte {position}")
