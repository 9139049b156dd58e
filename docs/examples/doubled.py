"""A fault of one's own: a device whose exp is twice what it should be."""

from pytest_applesilicon import Call, Fault


def doubled(call: Call):
    return call.run(*call.args, **call.kwargs) * 2


FAULTS = [Fault("exp-doubled", "aten::exp", lambda call: True, doubled, "exp is twice itself")]
