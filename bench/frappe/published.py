"""Published figures of the networks on Frappe_x1.

The paper's are FINAL's Tables 1 and 2 (Zhu et al. 2023); its AutoInt is the benchmark's AutoInt+.
The benchmark's are the runs of BARS (ranking/ctr, seed 2021) whose settings stand in this folder.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """Scores on test; None where there is none.

    paper_auc   of the paper, four digits
    auc, log_loss, parameters, seconds   of the benchmark's run; seconds an epoch on a P100
    """

    paper_auc: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    parameters: int | None = None
    seconds: int | None = None


PUBLISHED = {
    "lr": Published(0.9356, 0.935584, 0.307643, 5_390, 4),
    "fm": Published(0.9671, 0.967108, 0.206515, 59_280, 4),
    "afm": Published(0.9697, 0.969733, 0.226424, 60_826, 6),
    "crossnet": Published(0.9419, 0.959427, 0.271483, 55_191, 3),
    "crossnet_v2": Published(0.9716, 0.972914, 0.221563, 94_391, 8),
    "cin": Published(0.9776, 0.978241, 0.235220, 147_984, 12),
    "sam": Published(0.9801, 0.980120, 0.173521, 58_791, 5),
    "autoint": Published(None, 0.983085, 0.163684, 306_051, 14),
    "mlp": Published(0.9833, 0.983323, 0.162229, 781_892, 9),
    "dcn": Published(0.9839, 0.983907, 0.152660, 418_591, 2),
    "dcn_v2": Published(0.9845, 0.984478, 0.149149, 458_391, 5),
    "deepfm": Published(0.9842, 0.984243, 0.148174, 423_280, 6),
    "autoint_plus": Published(0.9849, 0.984812, 0.149007, 622_180, 22),
    "xdeepfm": Published(0.9845, 0.984507, 0.146604, 429_809, 15),
    "final_1b": Published(0.9852, 0.985223, 0.136554, 256_791, 7),
    "final_dual": Published(0.9883),
    "final_2b": Published(0.9895, 0.985744, 0.131070, 338_502, 8),
    "mlp_final": Published(0.9850),
    "deepfm_final": Published(0.9853),
    "xdeepfm_final": Published(0.9851),
    "dcn_final": Published(0.9848),
}
