"""The convolutions of the experiments' networks, one of each kind: what `benchmarks.convolutions` measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gdl_jax.layers.convolution import Conv, ConvTranspose, Padding
from gdl_jax.layers.geometry import Geometry


@dataclass(frozen=True)
class Shape:
    """A layer and the size of what it sees."""

    name: str
    batch: int
    size: tuple[int, ...]
    channels: tuple[int, int]
    """(in, out)."""
    kernel: tuple[int, ...]
    systems: tuple[str, ...]
    """Ids of the catalogue; the batch is the first one's, or less so that the layer stays below 15 GFLOP."""
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int = 1
    groups: int = 1
    transposed: bool = False

    @property
    def geometry(self) -> Geometry:
        """Of the convolution, or of the one that is transposed."""
        layer = ConvTranspose if self.transposed else Conv
        return layer(
            self.channels[1],
            self.kernel,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        ).geometry(self.size)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the layer, and of each of its gradients, taps beyond the border counted."""
        g = self.geometry
        return 2 * self.batch * math.prod(g.output_size) * math.prod(g.kernel) * math.prod(self.channels) // g.groups


# Sizes are those after reflection, causal or one-sided padding, which is no part of these layers.
SHAPES = (
    Shape("radford G 4x4->8x8 k5 1024->512", 32, (4, 4), (1024, 512), (5, 5), ("J21",), strides=2, transposed=True),
    Shape(
        "valle32 G 2x2->4x4 k5 512->256",
        128,
        (2, 2),
        (512, 256),
        (5, 5),
        ("S17", "S38", "S39"),
        strides=2,
        transposed=True,
    ),
    Shape(
        "valle32 G last 16x16->32x32 k5 64->3",
        128,
        (16, 16),
        (64, 3),
        (5, 5),
        ("S17", "S38", "S39"),
        strides=2,
        transposed=True,
    ),
    Shape("valle32 D first 32x32 k5 s2 3->64", 128, (32, 32), (3, 64), (5, 5), ("S17", "S38", "S39"), strides=2),
    Shape("wgangp faces D mid 16x16 k5 s2 128->256", 64, (16, 16), (128, 256), (5, 5), ("F27", "12.1"), strides=2),
    Shape(
        "dcgan64 G first 1x1->4x4 k4 100->512",
        64,
        (1, 1),
        (100, 512),
        (4, 4),
        ("LA11", "L7.10", "J21", "LA33"),
        padding=0,
        transposed=True,
    ),
    Shape(
        "dcgan64 G mid 8x8->16x16 k4 256->128",
        64,
        (8, 8),
        (256, 128),
        (4, 4),
        ("LA11", "L7.10", "J21", "LA33"),
        strides=2,
        padding=1,
        transposed=True,
    ),
    Shape(
        "dcgan64 D first 64x64 k4 s2 3->64",
        64,
        (64, 64),
        (3, 64),
        (4, 4),
        ("LA11", "L7.10", "J14", "J21", "9.2", "LA33"),
        strides=2,
        padding=1,
    ),
    Shape(
        "dcgan64 D last 4x4 k4 valid 512->1",
        64,
        (4, 4),
        (512, 1),
        (4, 4),
        ("LA11", "L7.10", "J21", "9.2", "LA33"),
        padding=0,
    ),
    Shape(
        "keras gan G 32x32->64x64 k4 256->512", 2, (32, 32), (256, 512), (4, 4), ("J14",), strides=2, transposed=True
    ),
    Shape("keras gan G last 64x64 k5 512->3", 32, (64, 64), (512, 3), (5, 5), ("J14",)),
    Shape("mnist gan G 7x7->14x14 k5 128->64", 64, (7, 7), (128, 64), (5, 5), ("11.6",), strides=2, transposed=True),
    Shape("camel D first 28x28 k5 s2 1->64", 64, (28, 28), (1, 64), (5, 5), ("F21", "11.6"), strides=2),
    Shape("camel D 7x7->4x4 k5 s2 64->128", 64, (7, 7), (64, 128), (5, 5), ("F21",), strides=2),
    Shape("camel G up+conv 28x28 k5 128->64", 32, (28, 28), (128, 64), (5, 5), ("F21",)),
    Shape(
        "upconv gan D first 32x32 k3 s2 p1 1->16",
        64,
        (32, 32),
        (1, 16),
        (3, 3),
        ("LA19", "LA22", "L7.9"),
        strides=2,
        padding=1,
    ),
    Shape("vae28 enc 28x28 k3 s2 1->32", 128, (28, 28), (1, 32), (3, 3), ("J08", "J10"), strides=2),
    Shape(
        "vae28 dec 14x14->28x28 k3 64->32",
        128,
        (14, 14),
        (64, 32),
        (3, 3),
        ("F13", "F15", "J08", "J10"),
        strides=2,
        transposed=True,
    ),
    Shape("ae28 dec last 28x28 convT s1 k3 32->1", 32, (28, 28), (32, 1), (3, 3), ("F13", "F15"), transposed=True),
    Shape(
        "vae64 dec 1x1->5x5 k5 1024->128",
        32,
        (1, 1),
        (1024, 128),
        (5, 5),
        ("LA15",),
        strides=2,
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "vae64 dec last 30x30->64x64 k6 32->3",
        32,
        (30, 30),
        (32, 3),
        (6, 6),
        ("LA15",),
        strides=2,
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "vae128 dec last 64x64->128x128 k3 32->3", 32, (64, 64), (32, 3), (3, 3), ("F17",), strides=2, transposed=True
    ),
    Shape(
        "cifar ae dec 16x16->32x32 k2 s2 16->3",
        64,
        (16, 16),
        (16, 3),
        (2, 2),
        ("LA09",),
        strides=2,
        padding=0,
        transposed=True,
    ),
    Shape("resnet wgangp 32x32 k3 128->128", 32, (32, 32), (128, 128), (3, 3), ("S37", "S40", "S41", "7.1", "L8.2")),
    Shape("toy resnet 28x28 k3 s2 p15 16->32", 64, (28, 28), (16, 32), (3, 3), ("L6.1",), strides=2, padding=15),
    Shape("resnet stem 128x128 k7 s2 p3 3->64", 8, (128, 128), (3, 64), (7, 7), ("LA31",), strides=2, padding=3),
    Shape("resnet projection 32x32 1x1 s2 64->128", 8, (32, 32), (64, 128), (1, 1), ("LA31",), strides=2, padding=0),
    Shape("vgg19 conv1_2 128x128 k3 64->64", 8, (128, 128), (64, 64), (3, 3), ("L6.7",), padding=1),
    Shape("xception depthwise 19x19 k3 728", 32, (19, 19), (728, 728), (3, 3), ("L10.3",), padding=1, groups=728),
    Shape("faceswap sep depthwise 32x32 k5 s2 128", 16, (32, 32), (128, 128), (5, 5), ("L9.6",), strides=2, groups=128),
    Shape("mesoinception 256x256 k3 dil3 2->2", 75, (256, 256), (2, 2), (3, 3), ("L10.4",), dilation=3),
    Shape("pix2pix D first 256x256 k4 s2 6->64", 64, (256, 256), (6, 64), (4, 4), ("S43", "LA28"), strides=2),
    Shape("pix2pix enc 2x2->1x1 k4 s2 512->512", 8, (2, 2), (512, 512), (4, 4), ("LA28", "LA30"), strides=2, padding=1),
    Shape(
        "pix2pix dec 8x8->16x16 k4 1024->256",
        8,
        (8, 8),
        (1024, 256),
        (4, 4),
        ("LA30", "LA33"),
        strides=2,
        padding=1,
        transposed=True,
    ),
    Shape("pix2pix up+conv last 256x256 k4 s1 128->3", 16, (256, 256), (128, 3), (4, 4), ("S43",)),
    Shape(
        "patchgan70 32x32->31x31 k4 s1 p1 256->512", 2, (32, 32), (256, 512), (4, 4), ("S43", "LA28", "L6.3"), padding=1
    ),
    Shape(
        "cyclegan G residual 32x32 reflect1 k3 256->256", 4, (34, 34), (256, 256), (3, 3), ("L6.3",), padding="VALID"
    ),
    Shape("cyclegan G last 7x7 reflect3 128x128 64->3", 4, (134, 134), (64, 3), (7, 7), ("L6.3",), padding="VALID"),
    Shape("srgan G last 256x256 k9 64->3", 4, (256, 256), (64, 3), (9, 9), ("L6.8",), padding=4),
    Shape("pix2pixHD/spade D 33x33->34x34 k4 s1 p2 256->512", 2, (33, 33), (256, 512), (4, 4), ("12.4",), padding=2),
    Shape("partial conv 256x256 k5 s2 64->128", 1, (256, 256), (64, 128), (5, 5), ("12.2",), strides=2, padding=2),
    Shape("deoldify last res block 64x64 k3 303->303", 2, (64, 64), (303, 303), (3, 3), ("L8.10",), padding=1),
    Shape("progan toRGB 32x32 1x1 512->3", 16, (32, 32), (512, 3), (1, 1), ("L8.1", "L8.3", "L8.4")),
    Shape(
        "stylegan2 up 16x16->33x33 k3 512->512",
        8,
        (16, 16),
        (512, 512),
        (3, 3),
        ("L8.4",),
        strides=2,
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "stylegan2 FIR depthwise 65x65->64x64 k4 512",
        32,
        (65, 65),
        (512, 512),
        (4, 4),
        ("L8.4",),
        padding=1,
        groups=512,
    ),
    Shape("pixelcnn mask A 32x32 k7 3->256", 16, (32, 32), (3, 256), (7, 7), ("S06", "S07")),
    Shape("gated pixelcnn vertical 32x32 k2x3 128->256", 16, (33, 34), (128, 256), (2, 3), ("S08",), padding="VALID"),
    Shape("glow coupling 16x16 1x1 512->512", 64, (16, 16), (512, 512), (1, 1), ("S14",)),
    Shape(
        "wavenet dilated causal T16000 k2 dil512 32->32",
        8,
        (16512,),
        (32, 32),
        (2,),
        ("S09",),
        padding="VALID",
        dilation=512,
    ),
    Shape("waveglow WN T2000 k3 dil128 256->512", 6, (2000,), (256, 512), (3,), ("S15",), dilation=128),
    Shape(
        "waveglow mel up convT k1024 s256 80->80",
        12,
        (63,),
        (80, 80),
        (1024,),
        ("S15",),
        strides=256,
        padding="VALID",
        transposed=True,
    ),
    Shape("segan D first T16384 k31 s4 2->64", 256, (16384,), (2, 64), (31,), ("10.3",), strides=4),
    Shape("segan dec T16->64 k31 s4 2048->512", 8, (16,), (2048, 512), (31,), ("10.3",), strides=4, transposed=True),
    Shape(
        "segan dec last T4096->16384 k31 s4 128->1",
        128,
        (4096,),
        (128, 1),
        (31,),
        ("10.3",),
        strides=4,
        transposed=True,
    ),
    Shape("text gan 1x32 k1x3 512->512", 64, (1, 32), (512, 512), (1, 3), ("8.2", "8.3")),
    Shape(
        "musegan D pitch 84->7 k12 s12 5->128", 24576, (84,), (5, 128), (12,), ("12.5",), strides=12, padding="VALID"
    ),
    Shape("gansynth start (2,16) full conv 317->256", 8, (3, 31), (317, 256), (2, 16), ("12.6",), padding="VALID"),
    Shape(
        "musegan3d G first 1x1x1->4x1x1 k411 128->512",
        64,
        (1, 1, 1),
        (128, 512),
        (4, 1, 1),
        ("12.5",),
        padding="VALID",
        transposed=True,
    ),
    Shape("musegan3d D 4x1x1->3x1x1 k211 384->512", 64, (4, 1, 1), (384, 512), (2, 1, 1), ("12.5",), padding="VALID"),
    Shape("musegan3d G last 4x48x84 1x1x1 32->1", 64, (4, 48, 84), (32, 1), (1, 1, 1), ("12.5",)),
    Shape(
        "musegan3d G 4x1x1->4x4x3 k143 512->256",
        64,
        (4, 1, 1),
        (512, 256),
        (1, 4, 3),
        ("12.5",),
        strides=(1, 4, 3),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan3d G 4x4x3->4x16x7 k143 256->128",
        32,
        (4, 4, 3),
        (256, 128),
        (1, 4, 3),
        ("12.5",),
        strides=(1, 4, 2),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan3d G pitch 4x16x7->4x16x84 k1,1,12 128->32",
        16,
        (4, 16, 7),
        (128, 32),
        (1, 1, 12),
        ("12.5",),
        strides=(1, 1, 12),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan3d G time 4x16x84->4x48x84 k131 32->16",
        64,
        (4, 16, 84),
        (32, 16),
        (1, 3, 1),
        ("12.5",),
        strides=(1, 3, 1),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan3d D first 4x48x84->4x48x7 k1,1,12 1->16",
        64,
        (4, 48, 84),
        (1, 16),
        (1, 1, 12),
        ("12.5",),
        strides=(1, 1, 12),
        padding="VALID",
    ),
    Shape(
        "musegan G_bar last 96x7->96x84 k1x12 64->1",
        256,
        (96, 7),
        (64, 1),
        (1, 12),
        ("12.5",),
        strides=(1, 12),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan G_bar 2x1->4x1 k2x1 512->512",
        256,
        (2, 1),
        (512, 512),
        (2, 1),
        ("12.5",),
        strides=(2, 1),
        padding="VALID",
        transposed=True,
    ),
    Shape(
        "musegan D_bar 24x1->11x1 k4x1 128->256",
        256,
        (24, 1),
        (128, 256),
        (4, 1),
        ("12.5",),
        strides=(2, 1),
        padding="VALID",
    ),
)
