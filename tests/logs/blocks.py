"""What blocks of rows hold, as Python values."""


def rows_of(blocks):
    return [
        (line, reason, list(row))
        for block in blocks
        for line, reason, row in zip(
            block.lines_N.to_pylist(),
            block.reasons_N.to_pylist(),
            zip(*(column_N.to_pylist() for column_N in block.columns_N), strict=True),
            strict=True,
        )
    ]


def details_of(blocks):
    return [detail for block in blocks for detail in block.details_N.to_pylist()]


def raws_of(blocks):
    return [raw for block in blocks for raw in block.raws_N.to_pylist()]
