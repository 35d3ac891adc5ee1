"""Overrides of settings: many that are valid, others misspelt or with values of any kind."""

from hypothesis import strategies as st

VALID = """
    folds.n=3 folds.n=127 folds.n=128 folds.seed=7 folds.mode=official folds.mode=kfold
    folds.stop_users=0 folds.stop_users=0.005 train.seeds=0,1 train.seeds=[3]
    train.device=cpu train.device=cuda:1 train.workers=2 train.threads=2 train.rows=host
    models=qin models=qin,din models=final rules=strict
    blend.method=rank_mean blend.method=best_single data.users=300 data.items=200 data.tags=50
    data.seed=9223372036854775807 data.source=sample data.dir=/data prepare.content=joint_pca
    prepare.codes=3 prepare.codebook=16 prepare.seed=1 prepare.content_width=32 qin.qnn.rows=1
    qin.qnn.layers=3 qin.fit.learning_rate=1 qin.fit.learning_rate=5e-4 network.fit.max_epochs=2
    network.embedding_dim=4 din.mlp.hidden=12,8 din.mlp.hidden=[4] final.final.block1=8,8
    qin.item_levels=true qin.interest=din qin.interest=mean artifacts=/data/a submissions=é
    network.fit.loss=focal network.max_len=20 final.final.layer=paper final.final.steps=3
"""
VALUES = """
    0 1 2 3 -1 5 300 1.5 1e-3 nan inf true false qin qin,din sample research strict official auto
    0,1,2 0,0 [1] [1,2] [] [[]] {} {a=1} '' "a" 1970-01-01 0x10 1_000 9223372036854775808 a=b ~ ..
"""
VALID_OVERRIDES = [tuple(override.split("=", 1)) for override in VALID.split()]
TEXTS = st.sampled_from(VALUES.split()) | st.text(max_size=12)
EXTREME = st.sampled_from(
    ["9" * 5000, "[" * 3000, "0x" + "f" * 5000, "{a=" * 2000, "1\nfolds.n=4", "7\nx=1", '"\\u0000"']
)


@st.composite
def overrides(draw) -> list[str]:
    """One to three key=value overrides, some misspelt or with other values."""
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        key, text = draw(st.sampled_from(VALID_OVERRIDES))
        change = draw(st.integers(0, 9))
        if change == 0:
            at = draw(st.integers(0, len(key) - 1))
            key = key[:at] + draw(st.sampled_from(["", "x", ".", "=", " ", "\0"])) + key[at + 1 :]
        elif change <= 3:
            text = draw(TEXTS | EXTREME)
        drawn.append(f"{key}={text}")
    return drawn
