"""TorchScript archives that are broken, or mean harm: one line each, in bounded work."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnreadableModel
from support.work import work

torch = pytest.importorskip("torch")

CODE = "code/__torch__.py"
HEAD = """class Net(Module):
  __parameters__ = ["weight", ]
  __buffers__ = []
  weight : Tensor
  training : bool
"""


class Net(torch.nn.Module):
    __module__ = "__main__"  # by which its code has a short name

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, 4))

    def forward(self, x):
        return x @ self.weight


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "net.pt"
    torch.jit.trace(Net(), torch.ones(2, 4)).save(str(path))
    return path


def changed(archive: Path, path: Path, **entries: bytes) -> Path:
    """The archive with other contents of some entries, `code` among them."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        top = old.namelist()[0].partition("/")[0]
        wanted = {f"{top}/{CODE if k == 'code' else k + '.pkl'}": v for k, v in entries.items()}
        for name in {**dict.fromkeys(old.namelist()), **wanted}:
            new.writestr(name, wanted.get(name) or old.read(name))
    return path


def method(body: str, name: str = "forward") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"  def {name}(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n{lines}\n"


def refused(path: Path, match: str, at_most: int = 40_000_000) -> None:
    with work(at_most), pytest.raises(UnreadableModel, match=match) as error:
        flopwise.count(path, inputs=(2, 4))
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


def test_the_archive_as_it_is(archive: Path, tmp_path: Path) -> None:
    assert flopwise.count(archive).total().mac == 32
    code = HEAD + method("return torch.matmul(x, self.weight)")
    assert flopwise.count(changed(archive, tmp_path / "a.pt", code=code.encode())).params == 16


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import os", "a Import, which TorchScript does not have"),
        ("return open('/etc/passwd')", "a call of open"),
        ("return eval('1')", "a call of eval"),
        ("return __import__('os')", "a call of __import__"),
        ("return getattr(x, '__class__')", "the attribute __class__ of a Tensor"),
        ("return self.__class__", "has no __class__"),
        ("return self.forward.__globals__", "has no forward"),
        ("return x.__class__.__base__", "the attribute __class__ of a Tensor"),
        ("return (x).numpy()", "the method numpy of a Tensor"),
        ("return ().__class__", "the attribute __class__ of a tuple"),
        ("return [i for i in x]", "a ListComp"),
        ("return (lambda y: y)(x)", "a call of what has no name"),
        ("return x @ x", "a BinOp"),
        ("return f'{x}'", "a JoinedStr"),
        ("return torch.save(x, 'stolen')", "aten::save, which is no operator that is known"),
        ("return torch.from_file('/etc/passwd', False, 4)", "aten::from_file, which is no"),
        ("return torch.load('a')", "aten::load, which is no operator"),
        ("return torch.hub.load('a')", "aten::hub.load, which is no operator"),
        ("return torch._C._jit_set(1)", "aten::_C._jit_set, which is no operator"),
        ("return torch.os.system('true')", "aten::os.system, which is no operator"),
        ("return torch.__class__(x)", "aten::__class__, which is no operator"),
        ("return ops.os.system('true')", "the archive calls os::system"),
        ("return ops.prim.fork(x)", r"ops\.prim\.fork is not known"),
        ("return __torch__.os.system('true')", "no code for __torch__.os.system"),
        ("return int(torch.select(torch.as_strided(torch.ones([2]), [99], [1]), 0, 98))",
         "out of bounds for storage"),
        ("raise ValueError('a')", "a Raise"),
        ("return CONSTANTS.c7", "index out of range"),
        ("return y", "the name y, which has no value"),
        ("self.weight = x", "replaces the weight or module weight"),
        ("return torch.matmul(x)", "matmul"),
    ],
)  # fmt: skip
def test_code_asks_for_more_than_operators(
    archive: Path, tmp_path: Path, body: str, words: str
) -> None:
    path = changed(archive, tmp_path / "a.pt", code=(HEAD + method(body)).encode())
    refused(path, f"code/__torch__.py:8: .*({words})")
    assert not (Path.cwd() / "stolen").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("while True:\n  pass\nreturn x", "runs for more than"),
        ("for i in range(9223372036854775807):\n  pass\nreturn x", "runs for more than"),
        ("return (self).forward(x)", "calls itself more than"),
        ("a = [1]\nwhile True:\n  a = torch.add(a, a)\nreturn x", "more than 1,000,000 parts"),
        ("a = 'a'\nwhile True:\n  a = torch.add(a, a)\nreturn x", "more than 1,000,000 parts"),
        ("a = 'a{}{}'\nwhile True:\n  a = torch.format(a, a, a)\nreturn x", "1,000,000 parts"),
        ("a = torch.mul([0], 1000000000000)\nreturn x", "runs for more than"),
        ("a = 3\nwhile True:\n  a = torch.mul(a, a)\nreturn x", "more than 64 bits"),
        ("a = torch.pow(10, 1000000000)\nreturn x", "more than 64 bits"),
        ("a = torch.__lshift__(1, 1000000000)\nreturn x", "more than 64 bits"),
        ("a = [x]\nfor i in range(64):\n  a = [a, a]\nreturn a", "a result of more than"),
        ("a = [1]\nb = [1]\nfor i in range(64):\n  a = [a, a]\n  b = [b, b]\n"
         "c = torch.eq(a, b)\nreturn x", "lists within lists are not compared"),
        ("a = [1]\nfor i in range(64):\n  a = [a, a]\nb = str(a)\nreturn x", ""),
        ("return " + "(" * 150 + "x" + ")" * 150 + "[0]" * 3000, "nested|deep|recursion|parts"),
        ("return " + "-" * 5000 + "1", "deep|recursion|torch writes"),
    ],
)  # fmt: skip
def test_code_without_an_end(archive: Path, tmp_path: Path, body: str, words: str) -> None:
    path = changed(archive, tmp_path / "a.pt", code=(HEAD + method(body)).encode())
    if words:
        refused(path, words)
    else:
        flopwise.count(path, inputs=(2, 4))


class Harm:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("stolen"),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(Harm(), 2), "pathlib|a call of"),
        (b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR.", "a call of os.system"),
        (b"\x80\x02ccollections\nCounter\n)\x81.", "an object of collections.Counter"),
        (b"\x80\x02c__torch__\nOther\n)\x81}b.", "code/__torch__.py has no Other"),
        (b"\x80\x02c__torch__...etc.passwd\nNet\n)\x81}b.", "no code for __torch__"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", "the opcode FRAME"),
        (b"(i__torch__\nNet\n.", "the opcode INST"),
        (b"\x80\x02K\x01.", "data.pkl holds no module"),
        (b"\x80\x02h\x07.", "not a pickle of torch.jit.save"),
        (b"\x80\x02]q\x00h\x00a.", "data.pkl holds no module"),
        (b"\x80\x02}N", "not a pickle of torch.jit.save"),
        (b"\x80\x02}]Ns.", "not a pickle of torch.jit.save"),
        (b"\xff", "not a pickle of torch.jit.save"),
        (b"\x80\x02c__torch__\nNet\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.", "has no weight|Net"),
    ],
)  # fmt: skip
def test_pickles_that_are_no_data(archive: Path, tmp_path: Path, data: bytes, words: str) -> None:
    refused(changed(archive, tmp_path / "a.pt", data=data), words)
    assert not (Path.cwd() / "stolen").exists()


def header(sizes: bytes, strides: bytes, kind: bytes = b"FloatStorage") -> bytes:
    """A module whose weight is a tensor of these sizes, as opcodes."""
    storage = b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00"
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"cpuK\x01tQK\x00" + sizes
              + strides + b"\x89ccollections\nOrderedDict\n)RtR")  # fmt: skip
    return b"\x80\x02c__torch__\nNet\n)\x81}X\x06\x00\x00\x00weight" + tensor + b"sb."


def test_tensors_that_cannot_be(archive: Path, tmp_path: Path) -> None:
    good = header(b"K\x04K\x04\x86", b"K\x04K\x01\x86")
    assert flopwise.count(changed(archive, tmp_path / "good.pt", data=good)).params == 16
    for name, data, words in (
        ("negative", header(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"), "a tensor with the size -1"),
        ("uneven", header(b"K\x04\x85", b"K\x04K\x01\x86"), "other strides than sizes"),
        ("kind", header(b"K\x04\x85", b"K\x01\x85", b"QInt8Storage"), "a tensor of QInt8Storage"),
        ("text", header(b"X\x01\x00\x00\x00a\x85", b"K\x01\x85"), "a tensor with the size 'a'"),
        ("wide", header(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87",
                        b"K\x01K\x01K\x01\x87"), "net|matmul|overflow|mat|size"),
    ):  # fmt: skip
        refused(changed(archive, tmp_path / f"{name}.pt", data=data), words)


def test_an_archive_that_unpacks_to_too_much(archive: Path, tmp_path: Path) -> None:
    comment = b"#" * (2**26 + 1)
    refused(changed(archive, tmp_path / "bomb.pt", code=comment), "more than 64 MiB of pickles")


def test_truncated_and_garbled_archives(archive: Path, tmp_path: Path) -> None:
    """Every way of cutting it ends in a count or in one line."""
    whole = archive.read_bytes()
    ends = [*range(5, len(whole), 397), len(whole) - 1]
    for i, end in enumerate(ends):
        path = tmp_path / f"{i}.pt"
        path.write_bytes(whole[:end])
        with pytest.raises(FlopwiseError):
            flopwise.count(path, inputs=(2, 4))
    for i, at in enumerate(range(30, len(whole), 499)):
        path = tmp_path / f"garbled{i}.pt"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            flopwise.count(path, inputs=(2, 4))
        except FlopwiseError as error:
            assert "\n" not in str(error)


def test_weights_are_never_read(archive: Path, tmp_path: Path) -> None:
    """Not even where their entries are broken."""
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if "/data/" not in name:
                new.writestr(name, old.read(name))
    assert flopwise.count(path).total().mac == 32
