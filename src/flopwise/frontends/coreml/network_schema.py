"""CoreML's neural networks: the layers by field number, with the parameters that matter.

https://github.com/apple/coremltools/blob/main/mlmodel/format/NeuralNetwork.proto. A layer is
text: its parameters as name:number, ending in * for several numbers, ~ for a float, ! for
weights, & for the edges of a border.
"""

from __future__ import annotations

from flopwise.frontends.wire import FLOAT, INT, INTS, SPANS, TEXT, TEXTS, Schema

WEIGHTS: Schema = {
    1: ("floats", SPANS), 2: ("halves", SPANS), 30: ("raw", SPANS), 31: ("raw", SPANS),
    40: ("quantization", {1: ("bits", INT)}),
}  # fmt: skip
EDGES: Schema = {10: ("edges", [{1: ("start", INT), 2: ("end", INT)}])}
BORDER: Schema = {1: ("amounts", EDGES)}
_KINDS = {"*": INTS, "~": FLOAT, "!": WEIGHTS, "&": EDGES}


def fields(text: str) -> Schema:
    """The schema of a message that is written as text."""
    found: Schema = {}
    for part in text.split():
        name, _, number = part.partition(":")
        found[int(number.rstrip("*~!&"))] = (name, _KINDS.get(number[-1], INT))
    return found


_CONVOLUTION = fields(
    "f:1 g:2 groups:10 kernel:20* stride:30* dilation:40* transposed:60 bias:70 weights:90!"
    " biases:91! output:100*"
)
_CONVOLUTION |= {50: ("valid", BORDER), 51: ("same", {})}
_POOLING = fields("kind:1 kernel:10* stride:20* whole:60")
_POOLING |= {30: ("valid", BORDER), 31: ("same", {}), 32: ("last", {10: ("amounts", INTS)})}
_SLOPES: Schema = {1: ("alpha", WEIGHTS)}
ACTIVATION: Schema = {
    5: ("linear", {}), 10: ("relu", {}), 15: ("leaky_relu", {}), 20: ("threshold", {}),
    25: ("prelu", _SLOPES), 30: ("tanh", {}), 31: ("scaled_tanh", {}), 40: ("sigmoid", {}),
    41: ("hard_sigmoid", {}), 50: ("elu", {}), 60: ("softsign", {}), 70: ("softplus", {}),
    71: ("parametric_softplus", {1: ("alpha", WEIGHTS), 2: ("beta", WEIGHTS)}),
}  # fmt: skip
_LSTM = fields("sequence:10 biases:20 peephole:40 coupled:50 clip:60~")
_REDUCED = "axes:1* keep:2 all:3"
_RANDOM = fields("")

# name, number, parameters
_LAYERS = """
embedding 150 v:1 d:2 bias:10 weights:20! biases:21!
embeddingND 1040 v:1 d:2 bias:3 weights:20! biases:21!
innerProduct 140 i:1 o:2 bias:10 weights:20! biases:21!
batchnorm 160 c:1 compute:5 instance:6 gamma:15! beta:16! mean:17! variance:18!
mvn 165 across:1 variance:2
l2normalize 170
softmax 175
lrn 180 size:3
crop 190 amounts:1& offset:5*
padding 200 amounts:10&
upsample 210 scale:1* mode:5
resizeBilinear 211 size:1*
cropResize 212 size:1*
unary 220 kind:1 alpha:2~ shift:4~ scale:5~
add 230
multiply 231
average 240
scale 245 shape:1* scale:2! bias:3 shapeBias:4* biases:5!
bias 250 shape:1* biases:2!
max 260
min 261
dot 270 cosine:1
reduce 280 mode:1 axis:3
loadConstant 290 shape:1* data:2!
reshape 300 shape:1*
flatten 301
permute 310 axes:1*
concat 320 sequence:100
split 330 count:1
sequenceRepeat 340 times:1
reorganizeData 345 mode:1 block:2
slice 350 start:1 end:2 step:3 axis:4
copy 600
clip 660
ceil 665
floor 670
sign 680
round 685
exp2 700
sin 710
cos 715
tan 720
asin 730
acos 735
atan 740
sinh 750
cosh 755
tanh 760
asinh 770
acosh 775
atanh 780
erf 790
gelu 795 mode:1
equal 815
notEqual 820
lessThan 825
lessEqual 827
greaterThan 830
greaterEqual 832
logicalOr 840
logicalXor 845
logicalNot 850
logicalAnd 855
modBroadcastable 865
minBroadcastable 870
maxBroadcastable 875
addBroadcastable 880
powBroadcastable 885
divideBroadcastable 890
floorDivBroadcastable 895
multiplyBroadcastable 900
subtractBroadcastable 905
tile 920 repeats:1*
stack 925 axis:1
gather 930 axis:1
scatter 935 axis:1 mode:2
gatherND 940
scatterND 945 mode:1
softmaxND 950 axis:1
gatherAlongAxis 952 axis:1
scatterAlongAxis 954 axis:1 mode:2
reverse 960
reverseSeq 965
splitND 975 axis:1 count:2 sizes:3*
concatND 980 axis:1
transpose 985 axes:1*
sliceStatic 995 begin:1* beginMasks:2* end:3* endMasks:4* strides:5* squeeze:6*
topK 1015 axis:1 k:2
argMin 1020 axis:1 drop:2
argMax 1025 axis:1 drop:2
batchedMatmul 1045 transposeA:1 transposeB:2 rows:5 columns:6 bias:7 weights:8! biases:9!
getShape 1065
loadConstantND 1070 shape:1* data:2!
fillLike 1080
fillStatic 1085 shape:2*
fillDynamic 1090
broadcastToLike 1100
broadcastToStatic 1105 shape:1*
broadcastToDynamic 1110
squeeze 1120 axes:1* all:2
expandDims 1125 axes:1*
flattenTo2D 1130 axis:1
reshapeStatic 1140 shape:1*
reshapeDynamic 1145
rankPreservingReshape 1150 shape:1*
constantPad 1155 amounts:2* given:3
randomNormalLike 1170
randomUniformLike 1190
randomBernoulliLike 1210
randomNormalStatic 1175 shape:4*
randomUniformStatic 1195 shape:4*
randomBernoulliStatic 1215 shape:3*
matrixBandPart 1315
lowerTriangular 1320
upperTriangular 1325
whereBroadcastable 1330
whereNonZero 1313
layerNormalization 1350 shape:1* gamma:3! beta:4!
oneHot 1450 depth:1 axis:2
cumSum 1455 axis:1
clampedReLU 1460
argSort 1461 axis:1
pooling3d 1465 kind:1 kd:2 kh:3 kw:4 sd:5 sh:6 sw:7 front:8 back:9 top:10 bottom:11 left:12 right:13 mode:15
globalPooling3d 1466 kind:1
convolution3d 1471 f:1 c:2 groups:10 kd:20 kh:21 kw:22 sd:31 sh:32 sw:33 dd:40 dh:41 dw:42 bias:50 weights:60! biases:61! mode:70 front:80 back:81 top:82 bottom:83 left:84 right:85 transposed:86 output:87*
simpleRecurrent 400 i:1 h:2 sequence:15 bias:20 weights:30! recursion:31! biases:32!
gru 410 i:1 h:2 sequence:15 bias:20
"""  # noqa: E501 - a line is a layer

LAYER: Schema = {1: ("name", TEXT), 2: ("inputs", TEXTS), 3: ("outputs", TEXTS)}
LAYER |= {
    100: ("convolution", _CONVOLUTION), 120: ("pooling", _POOLING),
    130: ("activation", ACTIVATION),
    420: ("uniDirectionalLSTM", {**fields("i:1 h:2"), 15: ("params", _LSTM)}),
    430: ("biDirectionalLSTM", {**fields("i:1 h:2"), 15: ("params", _LSTM)}),
    500: ("custom", {10: ("class", TEXT), 20: ("weights", [WEIGHTS])}),
}  # fmt: skip
for _line in _LAYERS.split("\n"):
    if _line:
        _name, _number, *_parts = _line.split()
        LAYER[int(_number)] = (_name, fields(" ".join(_parts)))
for _number_, _name in enumerate(
    ("L1", "L2", "Max", "Min", "Sum", "Prod", "Mean", "LogSum", "SumSquare", "LogSumExp")
):
    LAYER[1250 + 5 * _number_] = (f"reduce{_name}", fields(_REDUCED))

_PREPROCESSING: Schema = {1: ("feature", TEXT), 10: ("scaler", {}), 11: ("mean", {})}
NETWORK: Schema = {
    1: ("layers", [LAYER]), 2: ("preprocessing", [_PREPROCESSING]), 5: ("arrays", INT),
    6: ("images", INT),
}  # fmt: skip
LAYER[605] = ("branch", {1: ("then", NETWORK), 2: ("else", NETWORK)})
LAYER[615] = (
    "loop",
    {1: ("most", INT), 2: ("variable", TEXT), 3: ("condition", NETWORK), 4: ("body", NETWORK)},
)
KINDS = tuple(name for number, (name, _) in LAYER.items() if number >= 100)
