"""Which steps of a traced network read a shape, and which of them is the number of images."""

from torch import fx, nn

from rsmooth.models.shapes import is_batch, is_size


class Reads(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1), x.view(x.shape[0], -1), x.view(x.size(1), x.shape[-1]), x + 1


def test_the_number_of_images_is_told_from_other_entries_of_a_shape():
    views = [node for node in fx.symbolic_trace(Reads()).graph.nodes if node.target == "view"]
    first, second, third = views
    assert [is_batch(view.args[1]) for view in (first, second, third)] == [True, True, False]
    assert [is_size(argument) for argument in third.args[1:]] == [True, True]
    assert not is_batch(-1)


def test_a_step_that_computes_reads_no_shape():
    nodes = list(fx.symbolic_trace(Reads()).graph.nodes)
    assert not any(is_size(node) for node in nodes if "add" in node.name or node.target == "view")
