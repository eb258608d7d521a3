"""Which variables count as biases and norms: their own names decide, and no name of a model or a layer."""

import inspect
import re
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.nlp.modeling import layers as nlp
from official.nlp.modeling import models as nlp_models
from official.nlp.modeling import networks
from official.vision.modeling import backbones
from official.vision.modeling import layers as vision

from nigt import NIGT, names

layers = tf_keras.layers

# What NIGT is told apart by, from the owning layer's own attributes: `layer.bias` is a bias, whatever it is called.
APART = ("bias", "beta", "gamma")


def _owned(layer):
    """(variable, the attribute of the layer that holds it) of the layer and of all layers inside it."""
    inner = [layer, *(m for m in layer.submodules if isinstance(m, tf.Module))]
    trained = {id(v) for v in layer.trainable_variables}
    found = {}
    for module in inner:
        for name, value in vars(module).items():
            if id(value) in trained and isinstance(value, tf.Variable):
                no_norm = isinstance(module, nlp.mobile_bert_layers.NoNorm)  # its scale is called gamma
                found.setdefault(id(value), (value, "gamma" if no_norm else name.strip("_")))
    return list(found.values())


def _assert_only_biases_and_norms_are_apart(layer):
    owned, optimizer = _owned(layer), NIGT(excluded_learning_rate_multiplier=7.0, weight_decay=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*starts at 0")
        optimizer.build([v for v, _ in owned])
    for place, (variable, attribute) in enumerate(owned):
        apart = attribute.endswith(APART)
        assert optimizer._is_excluded(variable) == apart, (variable.name, attribute)
        assert optimizer._undecayed[place] == apart, (variable.name, attribute)
        if "kernel" in attribute or "embedding" in attribute:
            assert optimizer._is_normalized(variable), (variable.name, attribute)
    return owned


SEQUENCE, IMAGE, VIDEO = (2, 5, 4), (2, 8, 8, 4), (2, 4, 8, 8, 4)
# Arguments and input shape of every Keras layer with variables of its own.
KERAS = {
    "AdditiveAttention": ((), [SEQUENCE, SEQUENCE]),
    "Attention": ((True, "concat"), [SEQUENCE, SEQUENCE]),
    "BatchNormalization": ((), SEQUENCE),
    "Conv1D": ((3, 2), SEQUENCE),
    "Conv1DTranspose": ((3, 2), SEQUENCE),
    "Conv2D": ((3, 2), IMAGE),
    "Conv2DTranspose": ((3, 2), IMAGE),
    "Conv3D": ((3, 2), VIDEO),
    "Conv3DTranspose": ((3, 2), VIDEO),
    "ConvLSTM1D": ((3, 2), IMAGE),
    "ConvLSTM2D": ((3, 2), VIDEO),
    "ConvLSTM3D": ((3, 2), (2, 2, 4, 4, 4, 2)),
    "Dense": ((3,), SEQUENCE),
    "DepthwiseConv1D": ((2,), SEQUENCE),
    "DepthwiseConv2D": ((2,), IMAGE),
    "EinsumDense": (("abc,cd->abd", (None, 3), None, "d"), SEQUENCE),
    "Embedding": ((10, 3), (2, 5)),
    "GRU": ((3,), SEQUENCE),
    "GroupNormalization": ((2,), SEQUENCE),
    "LSTM": ((3,), SEQUENCE),
    "LayerNormalization": ((), SEQUENCE),
    "LocallyConnected1D": ((3, 2), SEQUENCE),
    "LocallyConnected2D": ((3, 2), IMAGE),
    "MultiHeadAttention": ((2, 3), [SEQUENCE, SEQUENCE]),
    "PReLU": ((), SEQUENCE),
    "SeparableConv1D": ((3, 2), SEQUENCE),
    "SeparableConv2D": ((3, 2), IMAGE),
    "SimpleRNN": ((3,), SEQUENCE),
}
# The same weights under another name, weights that are those of a layer inside, or none that are trained.
SAME = {
    *("Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D".split()),
    *("Convolution3DTranspose SeparableConvolution1D SeparableConvolution2D".split()),
    *("GRUCell LSTMCell SimpleRNNCell SpectralNormalization Normalization TextVectorization StringLookup".split()),
    *("IntegerLookup Discretization AbstractRNNCell RNN".split()),
}


def _built(make, shape):
    """The layer in a model whose every name, but those of the variables, is that of a bias or a norm."""
    layer = make()

    class BetaVae(tf_keras.Model):
        def __init__(self):
            super().__init__(name="beta_vae")
            self.inner = layer

        def call(self, inputs):
            return self.inner(*inputs) if isinstance(inputs, list) and self.several else self.inner(inputs)

    model = BetaVae()
    model.several = isinstance(layer, layers.MultiHeadAttention)
    inputs = [tf.ones(s) for s in shape] if isinstance(shape, list) else tf.ones(shape)
    model(inputs)
    return layer


@pytest.mark.parametrize("name", KERAS)
def test_keras_layers(name):
    arguments, shape = KERAS[name]
    layer = _built(lambda: getattr(layers, name)(*arguments, name="debias_gamma_projection"), shape)
    owned = _assert_only_biases_and_norms_are_apart(layer)
    assert len(owned) == len(layer.trainable_variables) > 0
    assert any("debias" in v.name or "beta_vae" in v.name for v, _ in owned)


def test_no_keras_layer_with_variables_is_left_out():
    own = set()
    for name, kind in inspect.getmembers(layers, inspect.isclass):
        bases = [c for c in kind.__mro__ if c.__module__.startswith("tf_keras") and "base_layer" not in c.__module__]
        if any("add_weight(" in inspect.getsource(c) for c in bases):
            own.add(name)
    assert own - SAME - set(KERAS) == set()


@pytest.mark.parametrize("cell", ["GRUCell", "LSTMCell", "SimpleRNNCell"])
@pytest.mark.parametrize("wrapper", ["RNN", "Bidirectional", "TimeDistributed", "SpectralNormalization"])
def test_layers_around_layers(cell, wrapper):
    make = {
        "RNN": lambda: layers.RNN(getattr(layers, cell)(3, name="bias")),
        "Bidirectional": lambda: layers.Bidirectional(getattr(layers, cell[:-4])(3, name="gamma"), name="beta"),
        "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(3, name="bias"), name="beta"),
        "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(3, name="gamma"), name="bias"),
    }[wrapper]
    assert _assert_only_biases_and_norms_are_apart(_built(make, SEQUENCE))


OFFICIAL = {
    "BertPretrainerV2": lambda: nlp_models.BertPretrainerV2(networks.BertEncoder(20, 8, 1, 2, 8, inner_dim=8)),
    "ResNet": lambda: backbones.ResNet(18, layers.InputSpec(shape=(None, 32, 32, 3))),
    "MobileNet": lambda: backbones.MobileNet("MobileNetV3Small", input_specs=layers.InputSpec(shape=(None, 32, 32, 3))),
    "EfficientNet": lambda: backbones.EfficientNet("b0", layers.InputSpec(shape=(None, 32, 32, 3))),
    "VisionTransformer": lambda: backbones.VisionTransformer(
        input_specs=layers.InputSpec(shape=(None, 32, 32, 3)), patch_size=8, num_heads=2, num_layers=1, hidden_size=8
    ),
    "MobileBERTEncoder": lambda: networks.MobileBERTEncoder(
        20, 4, 8, 1, num_attention_heads=2, intermediate_size=8, intra_bottleneck_size=8
    ),
    "AlbertEncoder": lambda: networks.AlbertEncoder(20, 4, 8, 1, 2, 8),
    "FNet": lambda: networks.FNet(20, 8, 1, num_attention_heads=2, inner_dim=8, max_sequence_length=8),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_models_of_tf_models_official(name):
    model = OFFICIAL[name]()
    if name == "FNet":
        model({k: tf.ones((2, 8), tf.int32) for k in ("input_word_ids", "input_mask", "input_type_ids")})
    owned = _assert_only_biases_and_norms_are_apart(model)
    assert len(owned) > 5


LAYERS = {
    "NoNorm": (lambda: nlp.mobile_bert_layers.NoNorm(name="scale"), SEQUENCE),
    "GatedFeedforward": (lambda: nlp.GatedFeedforward(8, "relu", 0.0, name="bias"), SEQUENCE),
    "TransformerEncoderBlock": (lambda: nlp.TransformerEncoderBlock(2, 8, "relu", name="debias"), SEQUENCE),
    "ReZeroTransformer": (lambda: nlp.ReZeroTransformer(2, 8, "relu", name="gamma_net"), SEQUENCE),
    "ClassificationHead": (lambda: nlp.ClassificationHead(4, 2, name="output_bias"), SEQUENCE),
    "OnDeviceEmbedding": (lambda: nlp.OnDeviceEmbedding(10, 4, name="beta"), None),
    "PositionEmbedding": (lambda: nlp.PositionEmbedding(8, name="gamma"), SEQUENCE),
    "TalkingHeadsAttention": (lambda: nlp.TalkingHeadsAttention(2, 3, name="bias"), None),
    "BlockDiagFeedforward": (lambda: nlp.BlockDiagFeedforward(8, "relu", 0.0, 2, name="bias"), SEQUENCE),
    "ResidualBlock": (lambda: vision.ResidualBlock(4, 1, use_projection=True, name="debias"), IMAGE),
    "BottleneckBlock": (lambda: vision.BottleneckBlock(4, 1, use_projection=True, name="debias"), IMAGE),
    "InvertedBottleneckBlock": (
        lambda: vision.InvertedBottleneckBlock(4, 4, 2, 1, se_ratio=0.25, name="gamma"),
        IMAGE,
    ),
    "SqueezeExcitation": (lambda: vision.SqueezeExcitation(4, 4, 0.5, name="beta"), IMAGE),
    "LayerScale": (lambda: vision.nn_blocks.LayerScale(0.1, name="kernel"), (2, 5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_tf_models_official(name):
    make, shape = LAYERS[name]
    if shape is None:
        layer = make()
        layer(*([tf.ones((2, 5), tf.int32)] if name == "OnDeviceEmbedding" else [tf.ones(SEQUENCE), tf.ones(SEQUENCE)]))
    else:
        layer = _built(make, shape)
    assert _assert_only_biases_and_norms_are_apart(layer)


@pytest.mark.parametrize(
    "path", ["beta_vae/{}:0", "GammaNet/debias_projection/{}:0", "bias/{}", "{}", "a/{}/replica_1:0"]
)
@pytest.mark.parametrize(
    ("name", "apart"),
    [
        *((name, True) for name in ("bias", "beta", "gamma", "output_bias", "bias_1", "layerscale_gamma")),
        *((name, False) for name in ("kernel", "recurrent_kernel", "depthwise_kernel", "kernel_1", "embeddings", "w")),
    ],
)
def test_the_last_name_decides(path, name, apart):
    variable = tf.Variable(1.0, name="x")
    variable._handle_name = path.format(name)  # tf.Variable refuses no name, but adds ":0"
    assert names.matches(names.BIASES_AND_NORMS, [variable]) == (apart,)


def _network(name, layer):
    """A subclassed model whose own name stands in every path."""

    class Network(tf_keras.Model):
        def __init__(self):
            super().__init__(name=name)
            self.hidden = layers.Dense(8, "tanh", name=layer)
            self.normalize = layers.LayerNormalization(name="LayerNorm")
            self.outward = layers.Dense(1)

        def call(self, inputs):
            return self.outward(self.normalize(self.hidden(inputs)))

    tf_keras.utils.set_random_seed(0)
    return Network()


@pytest.mark.parametrize("form", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
@pytest.mark.parametrize("arguments", [{"weight_decay": 0.01}, {"normalization": "global"}, {"adaptive": "released"}])
def test_a_model_trains_the_same_whatever_it_is_called(form, arguments):
    x = tf.random.stateless_normal((64, 6), (0, 1))
    weights = []
    for name, layer in [("model", "dense_9"), ("beta_vae", "debias_projection"), ("GammaNet", "bias")]:
        model = _network(name, layer)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            model.compile(NIGT(0.01, excluded_learning_rate_multiplier=10.0, **arguments), "mse", **form)
            model.fit(x, x[:, :1], 16, 2, 0, shuffle=False)
        assert name in ("model",) or name in model.trainable_variables[0].name
        weights.append(model.get_weights())
    for others in weights[1:]:
        for a, b in zip(weights[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("argument", ["exclude_from_normalization", "exclude_from_weight_decay"])
@pytest.mark.parametrize(
    ("patterns", "warned"),
    [
        (("bias", "beta", "gamma"), None),
        (("^bias$",), None),
        (("scale",), None),  # no such name anywhere
        (("debias_projection",), "'debias_projection' matches no variable.*GammaNet/debias_projection/kernel:0"),
        (("bias", "LayerNorm"), "'LayerNorm' matches no variable.*LayerNorm/gamma:0.*'beta' and 'gamma'"),
        (("bias:0$",), "'bias:0\\$' matches no variable"),
        (("GammaNet/.*/kernel",), "matches no variable"),
        (("kernel",), "2 kernels: GammaNet/debias_projection/kernel:0, GammaNet/dense.*kernel:0;"),
        ((".*",), "2 kernels"),
    ],
)
def test_patterns_of_a_user_that_do_something_else_than_they_seem_to_are_warned_of(argument, patterns, warned):
    model = _network("GammaNet", "debias_projection")
    model(tf.ones((2, 6)))
    optimizer = NIGT(weight_decay=0.1, **{argument: patterns})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer.build(model.trainable_variables)
        optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    messages = [str(w.message) for w in caught if argument in str(w.message)]
    assert len(messages) == (warned is not None)
    assert warned is None or re.search(warned, messages[0]), messages


def test_a_pattern_that_decides_nothing_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NIGT(exclude_from_weight_decay=["kernel"]).build([tf.Variable(tf.ones(3), name="kernel")])
