"""Which operators a program of Paddle 3 may hold: those that compute. ``operators`` says why.

Needs the standard library alone: ``scripts/clients/service/pir_operators.py`` is a copy.
"""

from collections.abc import Iterator
from typing import Any

from imgcls.weights.pir_program import PARAMETER, operators, written_out

NAMES = """
abs acos acosh add add_n addmm angle asin asinh atan atan2 atanh baddbmm ceil celu clip clip_by_norm complex conj
copysign cos cosh digamma divide elementwise_pow elu erf erfinv exp expm1 floor floor_divide fmax fmin gammaincc
gammaln gelu hardshrink hardsigmoid hardswish hardtanh heaviside i0 i0e i1 i1e imag increment leaky_relu lerp lgamma
log log10 log1p log2 logit logsigmoid masked_fill maximum maxout minimum mish multiply nextafter polygamma pow prelu
real reciprocal relu relu6 remainder rint round rrelu rsqrt scale selu sigmoid sign silu sin sinh soft_relu softplus
softshrink softsign sqrt square stanh subtract swiglu swish tan tanh tanh_shrink thresholded_relu trunc
allclose bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor equal equal_all
greater_equal greater_than is_empty isclose isfinite isinf isnan less_equal less_than logical_and logical_not
logical_or logical_xor not_equal
all amax amin any argmax argmin argsort bincount cummax cummin cumprod cumsum frobenius_norm histogram kthvalue l1_norm
logcumsumexp logsumexp max max_with_index mean mean_all median min min_with_index mode nanmedian nansum norm p_norm
prod reduce_as searchsorted squared_l2_norm std sum topk variance
bilinear bmm cholesky cholesky_solve cross det dist dot eig eigh eigvals eigvalsh einsum fc fft_c2c fft_c2r fft_r2c
inverse kron legacy_matmul lstsq lu lu_solve lu_unpack matmul matmul_with_flatten matrix_power matrix_rank
matrix_rank_atol_rtol matrix_rank_tol multi_dot mv qr slogdet slogdet_v2 solve svd svdvals triangular_solve
as_complex as_real assign broadcast_tensors cast channel_shuffle concat crop diag diag_embed diagonal expand expand_as
fill_diagonal fill_diagonal_tensor flatten flip fold frame gather gather_nd gather_tree im2sequence index_add index_put
index_sample index_select legacy_reshape masked_select meshgrid multiplex nonzero numel one_hot overlap_add pad pad3d
pixel_shuffle pixel_unshuffle put_along_axis repeat_interleave repeat_interleave_with_tensor_index reshape reverse roll
scatter scatter_nd_add sequence_mask set_value set_value_with_tensor shape shape64 shape_broadcast shard_index
share_data shuffle_channel slice split split_with_num squeeze stack strided_slice take_along_axis temporal_shift tile
trace transpose tril triu unbind unfold unique unique_consecutive unsqueeze unstack where
affine_channel affine_grid batch_norm bicubic_interp bilinear_interp conv2d conv2d_transpose conv2d_transpose_bias
conv3d conv3d_transpose deformable_conv depthwise_conv2d depthwise_conv2d_transpose dropout embedding flash_attn
fractional_max_pool2d fractional_max_pool3d grid_sample group_norm gru gru_unit gumbel_softmax instance_norm
interp_antialias label_smooth layer_norm linear_interp linear_v2 log_softmax lp_pool2d lrn lstm max_pool2d_v2
max_pool2d_with_index max_pool3d_with_index memory_efficient_attention nearest_interp pool2d pool3d psroi_pool renorm
rms_norm rnn roi_align roi_pool row_conv softmax spectral_norm sync_batch_norm trilinear_interp unpool unpool3d
apply_per_channel_scale dequantize_abs_max dequantize_linear dequantize_log fake_channel_wise_dequantize_max_abs
fake_channel_wise_quantize_abs_max fake_channel_wise_quantize_dequantize_abs_max fake_dequantize_max_abs
fake_quantize_abs_max fake_quantize_dequantize_abs_max fake_quantize_dequantize_moving_average_abs_max
fake_quantize_moving_average_abs_max fake_quantize_range_abs_max llm_int8_linear moving_average_abs_max_scale
quantize_linear weight_dequantize weight_only_linear weight_quantize
fused_bias_act fused_bias_dropout_residual_layer_norm fused_bias_residual_layernorm fused_conv2d_add_act
fused_dropout_add fused_elementwise_add fused_elementwise_div fused_elementwise_mul fused_elementwise_sub
fused_elemwise_activation fused_elemwise_add_activation fused_fc_elementwise_layernorm fused_gemm_epilogue
fused_rotary_position_embedding fused_scale_bias_add_relu fused_scale_bias_relu_conv_bn fused_softmax_mask
fused_softmax_mask_upper_triangle fusion_gru fusion_lstm fusion_repeated_fc_relu fusion_squared_mat_sub
fusion_transpose_flatten_concat gemm_epilogue multihead_matmul skip_layernorm squeeze_excitation_block
arange assign_value bernoulli binomial data dirichlet eye feed fetch fill full full_batch_size_like
full_int_array full_like full_with_tensor gaussian if linspace logspace multinomial ones ones_like poisson randint
randperm range_v2 seed standard_gamma tril_indices triu_indices truncated_gaussian_random uniform
uniform_random_batch_size_like zeros zeros_like
"""
"""Operators of Paddle 3.3, chosen as ``operators.ALLOWED`` was from those of 2.6."""

BUILTIN, PADDLE, CONTROL_FLOW = "0.", "1.", "2."
"""How names of the dialects ``builtin``, ``pd_op`` and ``cf`` begin; those of users' own operators are others."""

ALLOWED = frozenset(
    (
        PARAMETER,
        *(BUILTIN + name for name in ("combine", "split", "slice", "shadow_output")),
        *(PADDLE + name for name in NAMES.split()),
        *(f"{PADDLE}{name}_" for name in NAMES.split()),  # the same, in the memory of what it is given
        CONTROL_FLOW + "yield",
    )
)
KINDS = """
0.a_bool 0.a_i32 0.a_i64 0.a_index 0.a_f32 0.a_f64 0.a_c64 0.a_c128 0.a_str 0.a_array 0.a_tensorname
1.a_dtype 1.a_place 1.a_intarray 1.a_scalar 1.a_layout
"""
ATTRIBUTES = frozenset(KINDS.split())
"""Kinds of values that an operator may be given."""


def faults(content: memoryview) -> Iterator[str]:
    """What in a program is not known to do nothing but arithmetic, in words.

    Raises:
        ValueError: it is no such program, or too large for one.
    """
    for operator in operators(content):
        name = operator["#"]
        if name not in ALLOWED:
            yield f"the operator {written_out(name)}"
        elif name != PARAMETER:
            yield from (f"the attribute {written_out(k)}" for k in _kinds(operator) if k not in ATTRIBUTES)


def _kinds(operator: dict[str, Any]) -> Iterator[str]:
    """Of all attributes, and of the values in lists of them."""
    waiting = [operator.get(part, []) for part in ("A", "OA", "DA", "QA")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "#" in value:
                yield str(value["#"])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
