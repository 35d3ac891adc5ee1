"""Networks for click-through-rate prediction: tensors in, logits out.

This folder imports torch and numpy only, so that training runs on a machine without the rest.

Letters used in every docstring here:

    B  rows in a batch                      I  rows of the item table, row 0 is padding
    U  distinct items of a batch            T  history entries of a batch, real ones only
    E  width of a learned embedding         C  width of the frozen content vector
    D  width of an item representation      A  width of the attention space, 2 D as published
    X  width of the interaction's input     R  rows of a quadratic layer's bank

ids and positions are int64, everything else float32 (float64 in the parity tests). Histories are
ragged: nothing here pads. A history entry is a position among the batch's distinct items.
"""
