"""Gradients in a graph that trains on a CPU, by other operators of Paddle, which take a part of the time.

Max pooling, depthwise convolutions and fully connected layers are computed by others going forward, too, and what is
only looked at in another shape is not copied.

The numbers are the same to rounding. Where a shape is not known, or an operator has what is not expected here, it is
left as it is.
"""

from operator import itemgetter

from imgcls.machine.paddle_graphs import GradientPlace as Place
from imgcls.machine.paddle_graphs import Rewriting
from imgcls.machine.paddle_internals import onednn_has_avx512

Same = dict[str, str]
"""Names of gradients that are not computed any more, and of others that are the same numbers."""


def of_sum(place: Place) -> Same:
    """Those of both maps are the same; that of a bias is summed up in a fifth to a third of the time."""
    if slots := _number_and_maps(place, place.input("Out@GRAD")):
        return _of_added_number(place, *slots)
    given, bias = place.input("Out@GRAD"), place.output("Y@GRAD")
    same = {}
    for slot in ("X", "Y"):
        name = place.output(f"{slot}@GRAD")
        if name and place.shape(place.input(slot)) == place.shape(given) and not place.leaves(name):
            same[name] = given
    others = {place.output("X@GRAD"), bias} - {"", *same}
    if others == {bias} and has_channels_last(place, given, place.input("Y"), place.attribute("axis")):
        sum_rows(place, given, bias)
    elif others == {bias} and has_channels_first(place, given, place.input("Y"), place.attribute("axis")):
        sum_maps(place, given, bias)
    elif others:
        return {}
    place.remove()
    return same


def of_product(place: Place) -> Same:
    """With a factor for each channel, or one for all maps."""
    if slots := _number_and_maps(place, place.input("Out@GRAD")):
        return _of_single_factor(place, *slots)
    given, x, factors = place.input("Out@GRAD"), place.input("X"), place.input("Y")
    if not has_channels_last(place, given, factors, place.attribute("axis")):
        return {}
    if place.shape(x) != place.shape(given):
        return {}
    if place.output("Y@GRAD"):
        sum_rows(place, place.put("elementwise_mul", {"X": given, "Y": x}, axis=-1), place.output("Y@GRAD"))
    if place.output("X@GRAD"):
        place.put("elementwise_mul", {"X": given, "Y": factors}, name=place.output("X@GRAD"), axis=-1)
    place.remove()
    return {}


def _of_added_number(place: Place, number: str, maps: str) -> Same:
    given, found = place.input("Out@GRAD"), place.output(f"{maps}@GRAD")
    if found and place.leaves(found):
        return {}
    if place.output(f"{number}@GRAD"):
        _sum_up(place, given, place.output(f"{number}@GRAD"))
    place.remove()
    return {found: given} if found else {}


def _of_single_factor(place: Place, number: str, maps: str) -> Same:
    given, found, factor = place.input("Out@GRAD"), place.output(f"{maps}@GRAD"), place.input(number)
    if place.output(f"{number}@GRAD"):
        factors = place.put("expand_v2", {"X": factor}, shape=[place.shape(given)[1]])
        parts = {"X": place.input(maps), "Scale": factors, "Bias": factors, "Out@GRAD": given}
        others = {"Bias@GRAD": "", **({"X@GRAD": found} if found else {})}
        sums = place.put("affine_channel_grad", parts, "Scale@GRAD", others=others, data_layout="NCHW")
        _sum_up(place, sums, place.output(f"{number}@GRAD"))
    else:
        place.put("scale", {"X": given, "ScaleTensor": factor}, name=found, scale=1.0, bias=0.0, bias_after_scale=True)
    place.remove()
    return {}


def scaled_and_shifted(place: Place) -> Same:
    """Going forward, maps times a single factor, and a single summand: in one pass over them."""
    of_sum = _number_and_maps(place, place.output("Out"))
    maker = place.maker(place.input(of_sum[1])) if of_sum else None
    if maker is None or maker.type != "elementwise_mul" or not place.is_only_added(place.input(of_sum[1])):
        return {}
    of_product = _number_and_maps(place, place.output("Out"), maker)
    if not of_product:
        return {}
    channels = place.shape(place.output("Out"))[1]
    factor, maps = (maker.input(slot)[0] for slot in of_product)
    scale, bias = (place.put("expand_v2", {"X": one}, shape=[channels]) for one in (factor, place.input(of_sum[0])))
    parts = {"X": maps, "Scale": scale, "Bias": bias}
    place.put("affine_channel", parts, name=place.output("Out"), data_layout="NCHW")
    place.remove(maker)
    return {}


def _number_and_maps(place: Place, name: str, operator=None) -> tuple[str, str] | None:
    """The slots of a sum or product that hold a single number and maps ``[N, C, H, W]``.

    Args:
        name: of what has the maps' shape.
        operator: of the graph; unless given, the one of this place.
    """
    operator = operator or place.operator
    shape = place.shape(name)
    if len(shape) != 4 or min(shape[1:]) < 1 or not place.is_float32(name):
        return None
    for slots in (("X", "Y"), ("Y", "X")):
        if [place.shape(*operator.input(slot)) for slot in slots] == [(1,), shape]:
            return slots
    return None


def _sum_up(place: Place, numbers: str, name: str) -> None:
    """All of them, as ``[1]``."""
    found = place.put("reduce_sum", {"X": numbers}, dim=[0], keep_dim=False, reduce_all=True)
    place.put("reshape2", {"X": found}, name=name, shape=[1])


def of_layer_norm(place: Place) -> Same:
    """That of the numbers by a batch norm's operator, with each token as a channel of a single image."""
    given, x, scale = (place.input(slot) for slot in ("Y@GRAD", "X", "Scale"))
    mean, variance, shape = place.input("Mean"), place.input("Variance"), place.shape(given)
    epsilon, axis = place.attribute("epsilon"), place.attribute("begin_norm_axis")
    if not has_channels_last(place, given, scale, axis):
        return {}
    deviation = place.put("rsqrt", {"X": place.put("scale", {"X": variance}, scale=1.0, bias=epsilon)})  # its inverse
    if place.output("Bias@GRAD"):
        sum_rows(place, given, place.output("Bias@GRAD"))
    if place.output("Scale@GRAD"):
        products = sum_rows(place, place.put("elementwise_mul", {"X": given, "Y": x}, axis=-1), weights=deviation)
        means = place.put("elementwise_mul", {"X": mean, "Y": deviation}, axis=-1)
        parts = {"X": products, "Y": sum_rows(place, given, weights=means)}
        place.put("elementwise_sub", parts, name=place.output("Scale@GRAD"), axis=-1)
    if place.output("X@GRAD"):
        scaled = place.put("elementwise_mul", {"X": given, "Y": scale}, axis=-1) if scale else given
        image, scaled = (seen_as(place, one, [1, -1, shape[-1]]) for one in (x, scaled))
        mean, deviation = (seen_as(place, one, [-1]) for one in (mean, deviation))
        ones = place.put("fill_any_like", {"X": mean}, value=1.0)
        found = place.put(
            "batch_norm_grad",
            {"X": image, "Scale": ones, "Bias": ones, "SavedMean": mean, "SavedVariance": deviation, "Y@GRAD": scaled},
            "X@GRAD",
            data_layout="NCHW",
            epsilon=epsilon,
            is_test=False,
            momentum=0.9,
            trainable_statistics=False,
            use_global_stats=False,
        )
        seen_as(place, found, [-1, *shape[1:]], place.output("X@GRAD"))
    place.remove()
    return {}


def seen_as(place: Place, name: str, shape: list[int], new_name: str = "") -> str:
    """The same numbers in another shape, of which Paddle's operator makes a copy unless it works in place."""
    seen = place.put("share_data", {"X": name}, name=new_name)
    return place.put("reshape2", {"X": seen}, name=seen, shape=shape)


def in_another_shape(place: Place) -> Same:
    """Going forward."""
    x, out = place.input("X"), place.output("Out")
    if place.is_computed(x) and out and not {x, out} & place.leaving:
        place.take(x, place.put("share_data", {"X": x}, name=out))  # in place
    return {}


def of_another_shape(place: Place) -> Same:
    """As going forward."""
    found = place.output("X@GRAD")
    if not found or place.leaves(found) or place.shape(found).count(-1) > 1:
        return {}
    seen_as(place, place.input("Out@GRAD"), list(place.shape(found)), found)
    place.remove()
    return {}


def of_channels_moved(place: Place) -> Same:
    """Channels to the end or back, going forward or not: by oneDNN, in half to four fifths of the time."""
    axes, out = place.attribute("axis"), place.output("X@GRAD" if place.operator.type.endswith("_grad") else "Out")
    if axes not in MOVED or not out or not place.is_float32(out):
        return {}
    if place.operator.type == "transpose2":
        if place.is_computed(place.input("X")) and out not in place.leaving:
            place.mark_for_onednn()
    elif not place.leaves(out):
        inverse = [axes.index(number) for number in range(len(axes))]
        place.put("transpose2", {"X": place.input("Out@GRAD")}, name=out, axis=inverse, use_mkldnn=True)
        place.remove()
    return {}


MOVED = ([0, 2, 3, 1], [0, 3, 1, 2])


def chosen_rows(place: Place) -> Same:
    """Rows or columns of maps by number, going forward or not: by a product with ones at their places.

    Of columns Paddle copies, and in the gradient adds, one number at a time.
    """
    gradient = place.operator.type == "index_select_grad"
    x, index, axis = place.input("X"), place.input("Index"), place.attribute("dim")
    given, out = (place.input("Out@GRAD"), place.output("X@GRAD")) if gradient else (x, place.output("Out"))
    shape = place.shape(x)
    if len(shape) != 4 or axis not in (2, 3) or shape[axis] < 1 or not out or not place.is_float32(x):
        return {}
    ones = place.put("one_hot_v2", {"X": index}, like=x, depth=shape[axis], dtype=place.block.var(x).dtype)
    if axis == 3:
        place.put("matmul_v2", {"X": given, "Y": ones}, name=out, trans_x=False, trans_y=not gradient)
    else:
        place.put("matmul_v2", {"X": ones, "Y": given}, name=out, trans_x=gradient, trans_y=False)
    place.remove()
    return {}


def sum_with_product(place: Place) -> Same:
    """Going forward, of what has just been multiplied."""
    return scaled_and_shifted(place) if _number_and_maps(place, place.output("Out")) else fully_connected(place)


def fully_connected(place: Place) -> Same:
    """Going forward, a bias is added to a product of matrices while that is at hand, to the same bits."""
    product, bias, out = place.input("X"), place.input("Y"), place.output("Out")
    maker = place.maker(product)
    if maker is None or maker.type != "matmul_v2" or maker.attr("trans_x") or maker.attr("trans_y"):
        return {}
    (x,), (matrix,) = maker.input("X"), maker.input("Y")
    if not has_channels_last(place, out, bias, place.attribute("axis")) or not place.is_float32(out):
        return {}
    if len(place.shape(matrix)) != 2 or len(place.shape(x)) != len(place.shape(out)):
        return {}
    if not place.is_only_added(product):
        return {}
    place.put("fc", {"Input": x, "W": matrix, "Bias": bias}, name=out, in_num_col_dims=len(place.shape(out)) - 1)
    place.remove(maker)
    return {}


def sum_rows(place: Place, matrix: str, name: str = "", weights: str = "") -> str:
    """``[C]`` of ``[..., rows, C]``, mostly by products of matrices; each row times its weight, 1 unless given."""
    *others, rows, _ = place.shape(matrix)
    if weights:
        weights = seen_as(place, weights, [-1, *others[1:], 1, rows])
    else:
        dtype = place.block.var(matrix).dtype
        weights = place.put("fill_constant", {}, like=matrix, shape=[1, rows], value=1.0, dtype=dtype)
    sums = place.put("matmul_v2", {"X": weights, "Y": matrix}, like=matrix, trans_x=False, trans_y=False)
    axes = list(range(len(others) + 1))
    return place.put("reduce_sum", {"X": sums}, name=name, dim=axes, keep_dim=False, reduce_all=False)


def sum_maps(place: Place, maps: str, name: str) -> str:
    """``[C]`` of ``[N, C, H, W]``: rows by a product with a column of ones."""
    width, dtype = place.shape(maps)[-1], place.block.var(maps).dtype
    ones = place.put("fill_constant", {}, like=maps, shape=[width, 1], value=1.0, dtype=dtype)
    sums = place.put("matmul_v2", {"X": maps, "Y": ones}, trans_x=False, trans_y=False)
    return place.put("reduce_sum", {"X": sums}, name=name, dim=[0, 2, 3], keep_dim=False, reduce_all=False)


def has_channels_first(place: Place, name: str, vector: str, axis: int) -> bool:
    """Whether ``axis`` is that of the channels of ``[N, C, H, W]``, and a vector ``[C]``, all sides but N known."""
    shape = place.shape(name)
    return len(shape) == 4 and min(shape[1:]) > 0 and axis == 1 and place.shape(vector) == shape[1:2]


def has_channels_last(place: Place, name: str, vector: str, axis: int) -> bool:
    """Whether ``axis`` is the last one of ``[..., rows, C]``, and a vector ``[C]``, all sides but the first known."""
    shape = place.shape(name)
    if len(shape) < 3 or min(shape[1:]) < 1 or axis not in (-1, len(shape) - 1):
        return False
    return not vector or place.shape(vector) == shape[-1:]


def of_entries(place: Place) -> Same:
    """Of all the entries along the first axis: put together, where Paddle fills each up with zeros and adds."""
    makers = {name: one for one in place.block.ops for name in one.output_arg_names if one.type == "slice_grad"}
    parts = [makers.get(name) for name in place.operator.input("X")]
    if None in parts or any(one.attr("axes") != [0] or one.attr("decrease_axis") != [0] for one in parts):
        return {}
    first_axis = place.shape(parts[0].input("Input")[0])[0]
    ordered = sorted(((one.attr("starts")[0], one.input("Out@GRAD")[0]) for one in parts), key=itemgetter(0))
    if [number for number, _ in ordered] != list(range(first_axis)):
        return {}
    place.put("stack", {"X": [name for _, name in ordered]}, "Y", place.operator.output("Out")[0], axis=0)
    place.remove(*parts)
    return {}


def of_stack(place: Place) -> Same:
    """Taken apart in a fifth of the time."""
    parts = place.outputs("X@GRAD")
    if len(parts) == len(place.operator.output("X@GRAD")):
        place.put("unbind", {"X": place.input("Y@GRAD")}, "Out", parts, axis=place.attribute("axis"))
        place.remove()
    return {}


def of_depthwise_filter(place: Place) -> Same:
    """That of a wide filter by a depthwise convolution: the maps with the gradients for filters.

    The images lie one below the other, with rows of zeros between, as one image of many rows::

        [N, C, H, W]  ->  [1, C, N (H + gap), W]      the gradients: [C, 1, N (H' + gap'), W']

    and where the filter moved by strides, those of the gradients are apart by as much.
    """
    gradient, maps, given = place.output("Filter@GRAD"), place.input("Input"), place.input("Output@GRAD")
    plan = _moves(place) if gradient and place.attribute("use_mkldnn") else None
    if plan is None:
        return {}
    strides, padding, gaps = plan
    _, channels, _, width = place.shape(maps)
    sides = place.shape(place.input("Filter"))[2:]
    image = _one_below_the_other(place, maps, gaps[0], [1, channels, -1, width])
    filters = _one_below_the_other(place, given, gaps[1], [channels, 1, -1, place.shape(given)[3]])
    found = place.put(
        "depthwise_conv2d",
        {"Input": image, "Filter": filters},
        "Output",
        strides=[1, 1],
        paddings=padding,
        dilations=strides,
        groups=channels,
        use_mkldnn=True,
        data_format="NCHW",
        padding_algorithm="EXPLICIT",
    )
    seen_as(place, found, [channels, 1, *sides], gradient)
    place.leave_out("Filter@GRAD")
    return {}


WIDEST_FAST = 3
"""Width of the filters for which oneDNN 3.2 has a fast kernel of its own."""


def _moves(place: Place) -> tuple[list[int], list[int], tuple[int, int]] | None:
    """Strides, the new convolution's padding, the zeros below each image and below its gradients; if it can be."""
    maps, filters, given = (place.shape(place.input(slot)) for slot in ("Input", "Filter", "Output@GRAD"))
    strides, padding = place.attribute("strides"), place.attribute("paddings")
    if set(place.attribute("dilations")) != {1} or min(*maps[1:], *given[1:]) < 1:
        return None
    if filters[:2] != (maps[1], 1) or filters[3] <= WIDEST_FAST:
        return None
    needed = [(given[i] - 1) * strides[i - 2] + filters[i] - maps[i] for i in (2, 3)]
    above, left = {
        "EXPLICIT": (padding[0], padding[len(padding) // 2]),  # of two sides, or of all four
        "SAME": (max(needed[0], 0) // 2, max(needed[1], 0) // 2),
        "VALID": (0, 0),
    }[place.attribute("padding_algorithm")]
    below, right = needed[0] - above, needed[1] - left
    after_all = filters[2] - strides[0] - above
    if min(right, after_all) < 0:
        return None
    rows = -(-(maps[2] + max(above, below)) // strides[0])  # of an image's gradients, with the zeros
    return strides, [above, after_all, left, right], (rows * strides[0] - maps[2], rows - given[2])


def _one_below_the_other(place: Place, name: str, gap: int, shape: list[int]) -> str:
    _, channels, _, width = place.shape(name)
    apart = place.put("transpose2", {"X": name}, axis=[1, 0, 2, 3])
    dtype = place.block.var(name).dtype
    zeros = place.put(
        "fill_constant_batch_size_like",
        {"Input": name},
        shape=[channels, -1, gap, width],
        input_dim_idx=0,
        output_dim_idx=1,
        value=0.0,
        dtype=dtype,
    )
    apart = place.put("concat", {"X": [apart, zeros]}, axis=2) if gap else apart
    return place.put("reshape2", {"X": apart}, name=apart, shape=shape)  # in place: Paddle copies it otherwise


def depthwise(place: Place) -> Same:
    """Going forward, of a 3 x 3 filter and a map that keeps its size: the gradient of the one with the filter turned
    around, which is the same sums.

    oneDNN 3.2 computes that in blocks of channels, and the convolution itself in channels-last, into which Paddle's
    layout is turned more slowly.
    """
    maps, filters = place.shape(place.input("Input")), place.shape(place.input("Filter"))
    plain = set(place.attribute("strides")) == set(place.attribute("dilations")) == {1}
    padded = place.attribute("padding_algorithm") == "SAME" or set(place.attribute("paddings")) == {1}
    if not (place.attribute("use_mkldnn") and plain and padded) or filters != (maps[1], 1, 3, 3):
        return {}
    if place.shape(place.output("Output"))[1:] != maps[1:] or min(maps[1:]) < 1:
        return {}
    around = place.put("flip", {"X": place.input("Filter")}, axis=[2, 3])
    place.put(
        "depthwise_conv2d_grad",
        {"Input": place.input("Input"), "Filter": around, "Output@GRAD": place.input("Input")},
        "Input@GRAD",
        name=place.output("Output"),
        strides=[1, 1],
        paddings=[1, 1],
        dilations=[1, 1],
        groups=maps[1],
        use_mkldnn=True,
        data_format="NCHW",
        padding_algorithm="EXPLICIT",
    )
    place.remove()
    return {}


def of_max_pool(place: Place) -> Same:
    """oneDNN's, forward and backward, in half of the time where it has AVX-512; without, it takes longer than Paddle's.

    It looks for the maxima again before it brings gradients to their places. Where it found them going forward, Paddle
    does not pass on from the one graph to the other, and confuses for two poolings whose maps have one shape.
    """
    by_places = place.operator.type != "pool2d_grad"
    forward = place.maker(place.input("Mask" if by_places else "Out"))
    if not onednn_has_avx512() or not place.stays(forward.output("Out")[0]):
        return {}
    if place.attribute("adaptive") or place.attribute("global_pooling"):
        return {}
    if not by_places and (forward.attr("pooling_type"), forward.attr("data_format")) != ("max", "NCHW"):
        return {}
    known = forward.all_attrs()
    pool = {name: known.get(name, value) for name, value in MAX_POOL.items()} | {"use_mkldnn": True}
    again = {"X": place.input("X"), "Out": place.put("pool2d", {"X": place.input("X")}, **pool)}
    gradients = {**again, "Out@GRAD": place.input("Out@GRAD")}
    place.put("pool2d_grad", gradients, "X@GRAD", name=place.output("X@GRAD"), **pool)
    place.replace(forward, "pool2d", ["Out"], **pool)
    place.remove()
    return {}


MAX_POOL = {
    "adaptive": False,
    "ceil_mode": False,
    "data_format": "NCHW",
    "exclusive": True,
    "global_pooling": False,
    "ksize": [],
    "padding_algorithm": "EXPLICIT",
    "paddings": [],
    "pooling_type": "max",
    "strides": [],
    "use_cudnn": False,
}
"""Attributes of ``pool2d``, and those that its like which notes places does not have."""

REWRITTEN: Rewriting = {
    "depthwise_conv2d": depthwise,
    "depthwise_conv2d_grad": of_depthwise_filter,
    "elementwise_add": sum_with_product,
    "elementwise_add_grad": of_sum,
    "elementwise_mul_grad": of_product,
    "index_select": chosen_rows,
    "index_select_grad": chosen_rows,
    "layer_norm_grad": of_layer_norm,
    "max_pool2d_with_index_grad": of_max_pool,
    "pool2d_grad": of_max_pool,
    "reshape2": in_another_shape,
    "reshape2_grad": of_another_shape,
    "stack_grad": of_stack,
    "sum": of_entries,
    "transpose2": of_channels_moved,
    "transpose2_grad": of_channels_moved,
}
"""What ``plain_between_onednn`` takes."""
