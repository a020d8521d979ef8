"""The second sheet of ``paddle_internals``: private names of Paddle about graphs that train on a CPU.

``tests/machine/test_paddle_graphs.py`` has the tests, ``tests/engine/test_graph_gradients.py`` those of what works in
place.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import paddle
from paddle import nn
from paddle.base import backward
from paddle.base.framework import Operator

from imgcls.machine.paddle_internals import Conv2D


def has_onednn_graphs() -> bool:
    """Whether graphs that train have operators that take oneDNN's kernels: those of Paddle 3 have none."""
    return not getattr(paddle.framework, "use_pir_api", lambda: False)()


def run_operators_in_order() -> None:
    """Let graphs compute one operator after the other, which stays so in this process.

    Paddle hands operators that do not wait for each other to threads, each of which has its kernels' threads: on a
    processor they fight for its cores, and hold the memory of both.
    """
    paddle.set_flags({"FLAGS_new_executor_serial_run": True})


def take_names_of_any_script() -> None:
    """Let Paddle add gradients to graphs whose parameters have names beyond ASCII, which stays so in this process.

    It looks for names of gradients by their bytes in ASCII. Those of Res2Net200_vd_26w_4s are of that kind.
    """
    if hasattr(backward, "_rename_grad_") and not isinstance(backward._rename_grad_, _OfAnyScript):
        backward._rename_grad_ = _OfAnyScript(backward._rename_grad_)


class _OfAnyScript:
    """Stands before a function of Paddle's that looks at the operators of a block, and lets it see other names."""

    class Name(str):
        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
            return super().encode("utf-8", errors)

    class Seen:
        """What it is given, with another answer to one question."""

        def __init__(self, seen: Any, question: str, answer: Callable) -> None:
            self._seen = seen
            setattr(self, question, answer)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._seen, name)

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, block, *others):
        def operator(number: int):
            description = block.desc.op(number)
            return self.Seen(
                description, "output_arg_names", lambda: list(map(self.Name, description.output_arg_names()))
            )

        return self.function(SimpleNamespace(desc=self.Seen(block.desc, "op", operator)), *others)


def mark_for_onednn(network: nn.Layer, chosen: Callable[[nn.Conv2D], bool]) -> int:
    """Let graphs of a network compute chosen ones of its ``Conv2D`` by oneDNN, forward and backward; returns how many.

    Paddle takes the kernels of oneDNN where an operator says ``use_mkldnn``, and turns layouts as needed. The
    gradient of a filter would leave the graph in oneDNN's layout, wrong without a word, if the filter did not
    pass through an operator that knows plain layouts only: so it is in the graph that Paddle makes for images of
    another size. ``plain_between_onednn`` never sees that one; in the graph that it changes, it needs no such
    operator. Operators must follow each other.
    """
    if not has_onednn_graphs():
        return 0
    run_operators_in_order()
    take_names_of_any_script()
    convolutions = [layer for layer in network.sublayers(include_self=True) if isinstance(layer, Conv2D)]
    for layer in convolutions:
        layer.onednn = bool(chosen(layer))
    return sum(layer.onednn for layer in convolutions)


Rewriting = Mapping[str, Callable[["GradientPlace"], Mapping[str, str]]]
"""By operator, what puts others in its place, or leaves it there, and returns names of gradients that are not computed
any more, each with that of the same numbers."""


def plain_between_onednn(network: nn.Layer, images: paddle.Tensor, rewriting: Rewriting) -> int:
    """Let the network's graph, which has not been run, do the rest of the work of ``mark_for_onednn``.

    What a convolution or a pooling of oneDNN has computed, forward or backward, is brought into plain layout once,
    where it would be for each operator that reads it: the next one, that one's gradient in the other graph, and
    so on. (The gradient of a ``concat`` that takes it as it is ends the process.) Between such operators the kernels
    of oneDNN for activations find plain layout on both sides; with another one on either side they take hundreds
    of times as long. They work on all threads: of ReLU and ReLU6 the same bits in a third of the time, of the swishes
    and GELU the same numbers to rounding in a quarter.

    Args:
        rewriting: of the gradients' operators, when Paddle has added them.

    Returns:
        How many of these activations oneDNN computes, once the graph is run.
    """
    program, partial_program = network.forward.get_concrete_program(images)
    operators = program.main_program.global_block().ops
    read = {name for operator in operators for name in operator.input_arg_names}
    chosen = {
        operator.output("Out")[0]
        for operator in operators
        if operator.type in ACTIVATIONS and operator.output("Out")[0] in read  # what leaves is Paddle's own
    }
    leaving = {one.name for one in paddle.utils.flatten(program.outputs) if hasattr(one, "name")}
    partial_program.set_hooker(_PlainBetween(chosen, rewriting, leaving))
    return len(chosen)


ONEDNN = ".onednn"
"""At the end of the names of what is in oneDNN's layout."""

ACTIVATIONS = ("relu", "relu6", "hard_swish", "swish", "silu", "gelu")


class _PlainBetween:
    """Changes a graph before, and after, Paddle has added the operators of its gradients."""

    TURNED: Mapping[str, Sequence[str]] = {
        "conv2d": ["Output"],
        "depthwise_conv2d": ["Output"],
        "conv2d_grad": ["Input@GRAD", "Filter@GRAD"],
        "depthwise_conv2d_grad": ["Input@GRAD", "Filter@GRAD"],
        "pool2d": ["Out"],
        "pool2d_grad": ["X@GRAD"],
        "transpose2": ["Out"],
    }
    """By operator, which outputs are brought into plain layout."""

    def __init__(self, activations: set[str], rewriting: Rewriting, leaving: set[str]) -> None:
        self.activations, self.rewriting, self.leaving = activations, rewriting, leaving

    def before_append_backward(self, forward_program):
        block = forward_program.global_block()
        copies = {one.output("Out")[0]: one for one in block.ops if one.type == "scale" and one.attr("scale") == 1.0}
        for operator in list(block.ops):
            if operator.type in ACTIVATIONS and operator.output("Out")[0] in self.activations:
                operator._set_attr("use_mkldnn", True)
            if operator.type in ("conv2d", "depthwise_conv2d") and operator.attr("use_mkldnn"):
                (filter_name,) = operator.input("Filter")
                copy = copies.get(filter_name)
                if copy is not None:  # which ``_onednn`` of ``Conv2D`` has made for this one alone
                    operator._rename_input(filter_name, copy.input("X")[0])
                    block._remove_op(block.ops.index(copy))
        return forward_program

    def after_append_backward(self, whole_program, backward_start_idx: int):
        block, number = whole_program.global_block(), 0
        backward_start_idx += self._rewrite(block, backward_start_idx)
        while number < len(block.ops):
            operator = block.ops[number]
            number += 1
            if operator.type not in self.TURNED or not operator.attr("use_mkldnn"):
                continue
            slots = [slot for slot in self.TURNED[operator.type] if slot in operator.output_names]
            outputs = [name for slot in slots for name in operator.output(slot)]
            for name in filter(block.has_var, outputs):  # no gradient of images, nor of what is frozen
                variable = block.var(name)
                turned = f"{name}{ONEDNN}"
                block.create_var(name=turned, dtype=variable.dtype, shape=variable.shape, type=variable.type)
                operator._rename_output(name, turned)
                # knows plain layout only, so that the executor turns what it is given, and copies nothing itself
                block._insert_op(number, type="share_data", inputs={"X": [turned]}, outputs={"Out": [name]})
                backward_start_idx += number <= backward_start_idx
                number += 1
        if whole_program.num_blocks == 1:
            backward_start_idx += work_in_place(block, self.leaving, backward_start_idx)
        return whole_program, backward_start_idx

    def _rewrite(self, block, backward_start_idx: int) -> int:
        """Returns by how many operators what goes forward has grown."""
        computed = {name for one in block.ops if not one.type.endswith("_grad") for name in one.output_arg_names}
        same: dict[str, str] = {}
        grown = 0
        for number, operator in enumerate(list(block.ops)):
            before = len(block.ops)
            for name in same.keys() & set(operator.input_arg_names):
                operator._rename_input(name, same[name])
            if operator.type in self.rewriting and operator in block.ops:
                same.update(self.rewriting[operator.type](GradientPlace(block, operator, computed, self.leaving)))
            if number < backward_start_idx:
                grown += len(block.ops) - before
        return grown

    def after_infer(self, infer_program):
        return infer_program


def work_in_place(block, leaving: set[str], backward_start_idx: int) -> int:
    """Let sums and activations, and their gradients, write over what no other operator reads: the same bits.

    Memory that is not at hand is read before it is written to. What is written over takes the name of what is computed
    by an operator that tells its layout anew: an output that a kernel of Paddle's writes to keeps that which one of
    oneDNN's has noted there the last time, for another number of images.

    Args:
        block: of a program with gradients, the only one.
        leaving: names of what the network answers.

    Returns:
        By how many operators what goes forward has grown.
    """
    operators = list(block.ops)
    readers = Counter(name for one in operators for name in set(one.input_arg_names))
    makers: dict[str, list[Operator]] = defaultdict(list)
    for one in operators:
        for name in one.output_arg_names:
            makers[name].append(one)
    grown = 0
    for number, one in enumerate(operators):
        if one.type not in IN_PLACE:
            continue
        given, made = IN_PLACE[one.type]
        names = [name for slot in given for name in one.input(slot)]
        (result,) = one.output(made) or [""]
        if (one.type == "sum" and len(names) != 2) or not block.has_var(result) or result in {*leaving, *names}:
            continue
        for name in names:
            alone = readers[name] == 1 and len(makers[name]) == 1 and name not in leaving and names.count(name) == 1
            if not alone or not _is_its_own(makers[name][0]) or block.var(name).shape != block.var(result).shape:
                continue
            if one.type == "sum":  # it looks at the first one
                one.desc.set_input("X", sorted(names, key=name.__ne__))
            one._rename_input(name, result)
            index = block.ops.index(one)
            block._insert_op(index, type="share_data", inputs={"X": [name]}, outputs={"Out": [result]})
            grown += number < backward_start_idx
            break
    return grown


IN_PLACE = {
    "elementwise_add": (("X", "Y"), "Out"),
    "sum": (("X",), "Out"),
    **{kind: (("X",), "Out") for kind in ACTIVATIONS},
    **{f"{kind}_grad": (("Out@GRAD",), "X@GRAD") for kind in ACTIVATIONS},
}
"""By operator, the slots of which it may write over one, and the slot of what it computes."""


def _is_its_own(maker: Operator) -> bool:
    """Whether what it computes lies in memory that nothing else has a name for."""
    if maker.type == "share_data":
        return maker.input("X")[0].endswith(ONEDNN)
    return maker.type in ("batch_norm", "batch_norm_grad", "concat", "conv2d", "conv2d_grad", "fc", *IN_PLACE)


def unmark_for_onednn(network: nn.Layer) -> None:
    """Graphs of the network are Paddle's own again."""
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, Conv2D):
            layer.onednn = None


class GradientPlace:
    """Where others are put in place of an operator, in the block of a program with gradients.

    Args:
        computed: names of what the graph computes going forward.
        leaving: names of what the network answers.
    """

    def __init__(self, block, operator, computed: set[str], leaving: set[str]) -> None:
        self.block, self.operator, self.computed, self.leaving = block, operator, computed, leaving

    def input(self, slot: str) -> str:
        """The name of what the operator is given there; empty where it is given nothing."""
        return next(iter(self.operator.input(slot)), "")

    def output(self, slot: str) -> str:
        """The name of what it computes there; empty where nobody asks for it."""
        return next(iter(self.outputs(slot)), "")

    def outputs(self, slot: str) -> list[str]:
        """The names of all that it computes there and somebody asks for."""
        return list(filter(self.block.has_var, self.operator.output(slot)))

    def attribute(self, name: str) -> Any:
        return self.operator.attr(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """-1 where a side is not known."""
        return tuple(self.block.var(name).shape)

    def leaves(self, gradient: str) -> bool:
        """Whether it is that of a parameter, or of what the graph is given, and asked for by its name."""
        return gradient.split("@GRAD")[0] not in self.computed

    def put(
        self,
        kind: str,
        given: Mapping[str, str | Sequence[str]],
        slot: str = "Out",
        name: str | Sequence[str] = "",
        like: str = "",
        others: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> str:
        """One more operator before this one.

        Args:
            given: names by slot.
            name: of what it computes; a new one unless given.
            like: what has the type of its numbers; the first of ``given`` unless named.
            others: names by slot of what it computes beside that; new ones where they are empty.

        Returns:
            The name of what it computes in ``slot``, of the first where there are several.
        """
        inputs = {key: [one] if isinstance(one, str) else list(one) for key, one in given.items()}
        like = like or next(iter(inputs.values()))[0]
        name = name or f"{like}.{kind}.{len(self.block.vars)}"
        outputs = {slot: [name] if isinstance(name, str) else list(name)}
        outputs |= {key: [one or f"{name}.{key}"] for key, one in (others or {}).items()}
        if kind in ("reshape2", "transpose2"):
            outputs["XShape"] = [f"{name}.shape"]
        for new in (one for names in outputs.values() for one in names if not self.block.has_var(one)):
            self.block.create_var(name=new, dtype=self.block.var(like).dtype)
        index = self.block.ops.index(self.operator)
        if kind.endswith("_grad"):
            self._put_described(index, kind, inputs, outputs, attributes)
        else:
            self.block._insert_op(index, type=kind, inputs=inputs, outputs=outputs, attrs=attributes)
        return outputs[slot][0]

    def _put_described(self, index: int, kind: str, inputs: dict, outputs: dict, attributes: dict) -> None:
        """Of a gradient's operator Paddle tells Python nothing, so that its description is written here."""
        description = self.block.desc._insert_op(index)
        description.set_type(kind)
        for slot, names in inputs.items():
            description.set_input(slot, names)
        for slot, names in outputs.items():
            description.set_output(slot, names)
        setters = {
            bool: description._set_bool_attr,
            int: description._set_int32_attr,
            float: description._set_float32_attr,
            list: description._set_int32s_attr,
        }
        for attribute, value in attributes.items():
            setters.get(type(value), description._set_str_attr)(attribute, value)
        description.infer_var_type(self.block.desc)
        description.infer_shape(self.block.desc)
        self.block.ops.insert(index, Operator(self.block, description))

    def is_computed(self, name: str) -> bool:
        """Going forward: it is neither a parameter nor given to the graph."""
        return name in self.computed

    def is_float32(self, name: str) -> bool:
        return self.block.var(name).dtype == paddle.float32

    def maker(self, name: str) -> Operator | None:
        """The operator of the graph that computes it."""
        return next((one for one in self.block.ops if name in one.output_arg_names), None)

    def is_only_added(self, name: str) -> bool:
        """Whether one sum alone reads it going forward; that one's gradient sees its shape alone."""
        readers = [one.type for one in self.block.ops if name in one.input_arg_names]
        forward = [one for one in readers if one != "elementwise_add_grad"]
        return name not in self.leaving and forward == ["elementwise_add"]

    def stays(self, name: str) -> bool:
        """Whether another operator goes forward from it; what leaves the graph must be as Paddle makes it."""
        readers = (one.output_arg_names for one in self.block.ops if name in one.input_arg_names)
        return any("@GRAD" not in made for names in readers for made in names)

    def replace(self, operator: Operator, kind: str, slots: Sequence[str], **attributes: Any) -> None:
        """Another operator in place of one, with its inputs, and its outputs in ``slots``."""
        inputs = {slot: operator.input(slot) for slot in operator.input_names}
        outputs = {slot: operator.output(slot) for slot in slots}
        index = self.block.ops.index(operator)
        self.block._remove_op(index)
        self.block._insert_op(index, type=kind, inputs=inputs, outputs=outputs, attrs=attributes)

    def take(self, name: str, other: str) -> None:
        """The operator is given another one; of what it computes the shape is found again."""
        self.operator._rename_input(name, other)
        self.operator.desc.infer_shape(self.block.desc)

    def mark_for_onednn(self) -> None:
        """The operator takes oneDNN's kernel."""
        self.operator._set_attr("use_mkldnn", True)

    def leave_out(self, slot: str) -> None:
        """The operator does not compute this any more."""
        self.operator.desc.set_output(slot, [])

    def remove(self, *others) -> None:
        """The operator, and ``others``."""
        for operator in (*others, self.operator):
            self.block._remove_op(self.block.ops.index(operator))
