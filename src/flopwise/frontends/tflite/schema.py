"""The parts of TFLite's schema that shapes and costs depend on, slot by slot.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
(version 3c; TensorFlow 2.20).
"""

TABLES = {
    "Model": "version:u32 operator_codes:[OperatorCode] subgraphs:[SubGraph] description:text"
    " buffers:[Buffer]",
    "OperatorCode": "deprecated_builtin_code:i8 custom_code:text version:i32=1 builtin_code:i32",
    "SubGraph": "tensors:[Tensor] inputs:[i32] outputs:[i32] operators:[Operator] name:text",
    "Tensor": "shape:[i32] type:i8 buffer:u32 name:text quantization:Quantization"
    " is_variable:bool sparsity:Sparsity shape_signature:[i32] has_rank:bool",
    "Quantization": "_ _ scale:span",
    "Sparsity": "traversal_order:[i32]",
    "Operator": "opcode_index:u32 inputs:[i32] outputs:[i32] _ options:place"
    " custom_options:span _ _ _ _ _ _ options_2:place",
    "Buffer": "data:span offset:u64 size:u64",
}

TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
    "bfloat16", "int2", "uint4",
)  # fmt: skip

_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM
CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE
SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW
ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS
WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM
MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM
STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT
STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR
REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS = tuple(_NAMES.split())

_CONV = "padding:i8 stride_w:i32 stride_h:i32 fused:i8 dilation_w:i32=1 dilation_h:i32=1"
_CONV_3D = (
    "padding:i8 stride_d:i32 stride_w:i32 stride_h:i32 fused:i8 dilation_d:i32=1"
    " dilation_w:i32=1 dilation_h:i32=1"
)
_POOL = "padding:i8 stride_w:i32 stride_h:i32 filter_width:i32 filter_height:i32 fused:i8"

# The options of an operator are read by its own table, whatever the union claims.
OPTIONS = {
    "CONV_2D": _CONV,
    "DEPTHWISE_CONV_2D": "padding:i8 stride_w:i32 stride_h:i32 depth_multiplier:i32 fused:i8"
    " dilation_w:i32=1 dilation_h:i32=1",
    "CONV_3D": _CONV_3D,
    "CONV_3D_TRANSPOSE": _CONV_3D,
    "TRANSPOSE_CONV": "padding:i8 stride_w:i32 stride_h:i32 fused:i8",
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _POOL),
    "SVDF": "rank:i32 fused:i8",
    "RNN": "fused:i8",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "time_major:bool fused:i8",
    "BIDIRECTIONAL_SEQUENCE_RNN": "time_major:bool fused:i8 merge_outputs:bool",
    "FULLY_CONNECTED": "fused:i8 weights_format:i8 keep_num_dims:bool",
    "CONCATENATION": "axis:i32 fused:i8",
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), "fused:i8"),
    "LOCAL_RESPONSE_NORMALIZATION": "radius:i32",
    "LSTM": "fused:i8 cell_clip:f32 proj_clip:f32 kernel_type:i8",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "fused:i8 cell_clip:f32 proj_clip:f32 time_major:bool _"
    " diagonal:bool",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "fused:i8 cell_clip:f32 proj_clip:f32 merge_outputs:bool"
    " time_major:bool=1",
    "CALL": "subgraph:u32",
    "RESHAPE": "new_shape:[i32]",
    "SPACE_TO_DEPTH": "block_size:i32",
    "DEPTH_TO_SPACE": "block_size:i32",
    "GATHER": "axis:i32 batch_dims:i32",
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"),
        "keep_dims:bool",
    ),
    "SQUEEZE": "squeeze_dims:[i32]",
    "STRIDED_SLICE": "begin_mask:i32 end_mask:i32 ellipsis_mask:i32 new_axis_mask:i32"
    " shrink_axis_mask:i32 offset:bool",
    "PACK": "values_count:i32 axis:i32",
    "UNPACK": "num:i32 axis:i32",
    "ONE_HOT": "axis:i32",
    "IF": "then_subgraph:i32 else_subgraph:i32",
    "WHILE": "cond_subgraph:i32 body_subgraph:i32",
    "BATCH_MATMUL": "adj_x:bool adj_y:bool",
    "GELU": "approximate:bool",
    "STABLEHLO_COMPOSITE": "name:text decomposition:i32",
    "STABLEHLO_CONCATENATE": "dimension:i64",
    "STABLEHLO_TRANSPOSE": "permutation:[i64]",
    "STABLEHLO_DOT_GENERAL": "lhs_batching:[i64] rhs_batching:[i64] lhs_contracting:[i64]"
    " rhs_contracting:[i64]",
    "STABLEHLO_CONVOLUTION": "window_strides:[i64] padding:[i64] lhs_dilation:[i64]"
    " rhs_dilation:[i64] _ input_batch:i64 input_feature:i64 input_spatial:[i64]"
    " kernel_input_feature:i64 kernel_output_feature:i64 kernel_spatial:[i64] output_batch:i64"
    " output_feature:i64 output_spatial:[i64] feature_groups:i64 batch_groups:i64",
}
