"""The table of models: one row of facts each.

Sizes and sums are those of the files that the sources serve; each sum was met in at least two unrelated places, but for
the rows that say so. Recipes are those of the authors' own inference code, not of those who repackage: the two differ
for isnet-anime and ben2-base. None of the files was fetched when this was written: what does not fit is refused.
"""

from __future__ import annotations

from dataclasses import replace

from bgone.matting.model import Model, Recipe

__all__ = ["EMBEDDED", "MODELS", "Model", "Recipe"]

EMBEDDED = "bgone-small-1"

_HUB = "https://huggingface.co/"
_REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
_BIREFNET = "https://github.com/ZhengPeng7/BiRefNet/releases/download/v1/"

_U2NET = Recipe(
    320,
    320,
    number="float",
    layout="nchw",
    by_peak=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    activation="minmax",
)
_BIREFNET_1024 = Recipe(
    1024,
    1024,
    number="float",
    layout="nchw",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    input="input_image",
    output="output_image",
    activation="sigmoid",
)
_BIREFNET_2048 = replace(_BIREFNET_1024, width=2048, height=2048, input="", output="")
_ISNET = Recipe(1024, 1024, number="float", layout="nchw", mean=(0.5, 0.5, 0.5))

_APACHE_U2NET = "https://github.com/xuebinqin/U-2-Net/blob/master/LICENSE"
_MIT_BIREFNET = "https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE"


def _birefnet(
    name: str, file: str, sha256: str, description: str, *sources: str, size_bytes: int = 972_666_916
) -> Model:
    """A BiRefNet of 1024 x 1024; memory as one other project states it."""
    return Model(
        name=name,
        file=f"{name}.onnx",
        sha256=sha256,
        licence="MIT",
        recipe=_BIREFNET_1024,
        batchable=False,
        description=description,
        size_bytes=size_bytes,
        sources=(_REMBG + file, *sources) if file else sources,
        terms=_MIT_BIREFNET,
        memory_mb=7000,
    )


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name=EMBEDDED,
            file="bgone-small-1.onnx",
            sha256="da0e16d87686114d06f99489446332f32f9a21a348af4f03e98a74f7d4eeae69",
            licence="Apache-2.0",
            recipe=Recipe(384, 384),
            batchable=True,
            description="The embedded net: 3.1 M parameters, 384 x 384, trained by us (models/bgone-small-1.md).",
            size_bytes=3_500_361,
            memory_mb=100,
            seconds_cpu=0.04,
        ),
        _birefnet(
            "birefnet-general-lite",
            "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
            "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
            "BiRefNet with a small encoder: anything, fine edges.",
            _HUB + "onnx-community/BiRefNet_lite-ONNX/resolve/de15b22ba131738a16dff04aab8bdf8dc32e3ac1/onnx/model.onnx",
            _BIREFNET + "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
            size_bytes=224_005_088,
        ),
        _birefnet(
            "birefnet-general-lite-fp16",
            "",
            "d39b897ceb16ae654c1731f3dba0cf9b368d9cae74b5a57459b455cc8bfec402",
            "The same in half precision, for GPUs; slower on a CPU.",
            _HUB
            + "onnx-community/BiRefNet_lite-ONNX/resolve/de15b22ba131738a16dff04aab8bdf8dc32e3ac1/onnx/model_fp16.onnx",
            size_bytes=114_538_221,
        ),
        _birefnet(
            "birefnet-general",
            "BiRefNet-general-epoch_244.onnx",
            "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
            "BiRefNet: anything, the finest edges at 1024 x 1024.",
            _HUB + "onnx-community/BiRefNet-ONNX/resolve/534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67/onnx/model.onnx",
            _BIREFNET + "BiRefNet-general-epoch_244.onnx",
        ),
        _birefnet(
            "birefnet-general-fp16",
            "",
            "3654c741eb80bd926ada8fed1713b506ccf8d30eb1f6487e87eb9f234f33df09",
            "The same in half precision, for GPUs; slower on a CPU.",
            _HUB + "onnx-community/BiRefNet-ONNX/resolve/534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67/onnx/model_fp16.onnx",
            size_bytes=489_666_272,
        ),
        _birefnet(
            "birefnet-portrait",
            "BiRefNet-portrait-epoch_150.onnx",
            "1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99",
            "BiRefNet for people.",
            _HUB
            + "onnx-community/BiRefNet-portrait-ONNX/resolve/dd7167f6a8b54ff7efc29a4c988938d79866464f/onnx/model.onnx",
            _BIREFNET + "BiRefNet-portrait-epoch_150.onnx",
        ),
        _birefnet(
            "birefnet-dis",
            "BiRefNet-DIS-epoch_590.onnx",
            "6470117bac6f8d82a3f62921056f52d0f5c4d36d1d832096331d5ea38a03acb5",
            "BiRefNet for things with fine parts. The sum was met in one place only.",
        ),
        _birefnet(
            "birefnet-hrsod",
            "BiRefNet-HRSOD_DHU-epoch_115.onnx",
            "4f5837663194fb88f603b76782eae05a3c29f5749872ca1bfb636bd26e7f6bfc",
            "BiRefNet for what stands out in large pictures. The sum was met in one place only.",
        ),
        _birefnet(
            "birefnet-cod",
            "BiRefNet-COD-epoch_125.onnx",
            "91ec48f566db475cf6e4caa7e9cd997f352edfcc372372f437e2fbefc1557b13",
            "BiRefNet for what hides in its background. The sum was met in one place only.",
        ),
        _birefnet(
            "birefnet-massive",
            "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx",
            "a94814cac438a31f95287811882628644a04b22d313ef3071d2ba904b5f627b8",
            "BiRefNet trained with more sets of data. The sum was met in one place only.",
        ),
        Model(
            name="birefnet-hr-general",
            file="birefnet-hr-general.onnx",
            sha256="db0217e99b25e0c4f6f4dca2892ff1f7ea7aba38fb6ad84f93122a4024be536a",
            licence="MIT",
            recipe=_BIREFNET_2048,
            batchable=False,
            description="BiRefNet at 2048 x 2048: anything, the finest edges of all, much memory.",
            size_bytes=1_098_928_953,
            sources=(_BIREFNET + "BiRefNet_HR-general-epoch_130.onnx",),
            terms=_MIT_BIREFNET,
            memory_mb=22_000,
        ),
        Model(
            name="birefnet-hr-matting",
            file="birefnet-hr-matting.onnx",
            sha256="45b7d92ce0e2e75e1c8a564a9e84c87ac9da7f4315d2deeef3674864e809aef3",
            licence="MIT",
            recipe=_BIREFNET_2048,
            batchable=False,
            description="BiRefNet at 2048 x 2048 trained for hair and other soft edges, much memory.",
            size_bytes=1_098_928_867,
            sources=(_BIREFNET + "BiRefNet_HR-matting-epoch_135.onnx",),
            terms=_MIT_BIREFNET,
            memory_mb=22_000,
        ),
        Model(
            name="ben2-base",
            file="ben2-base.onnx",
            sha256="22cea62108ff53b7ccc20f7a008bf30494228d84b1687f29ecbe76936a998101",
            licence="MIT",
            # Its own onnx_run.py divides by 255 and no more; the PyTorch way differs.
            recipe=Recipe(
                1024,
                1024,
                number="float",
                layout="nchw",
                input="input.1",
                output="17728",
                activation="minmax",
            ),
            batchable=False,
            description="BEN2: anything, hair and thin parts.",
            size_bytes=222_932_053,
            sources=(_HUB + "PramaLLC/BEN2/resolve/e48a20765fb421d19dcdb0bf3cc61e802ca5ec8f/BEN2_Base.onnx",),
            terms="https://huggingface.co/PramaLLC/BEN2",
        ),
        Model(
            name="modnet",
            file="modnet.onnx",
            sha256="07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
            licence="Apache-2.0",
            recipe=Recipe(
                512,
                512,
                fit="shortest",
                multiple=32,
                number="float",
                layout="nchw",
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                input="input",
                output="output",
            ),
            batchable=False,
            description="MODNet: portraits, soft hair, in the picture's own aspect.",
            size_bytes=25_888_640,
            sources=(_HUB + "Xenova/modnet/resolve/fa2fa546052fba4c08921230a26cc69a333fca12/onnx/model.onnx",),
            terms="https://github.com/ZHKKKe/MODNet/blob/master/LICENSE",
        ),
        Model(
            name="u2net",
            file="u2net.onnx",
            sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            licence="Apache-2.0",
            recipe=_U2NET,
            batchable=False,
            description="U²-Net: anything, 320 x 320.",
            size_bytes=175_997_641,
            sources=(
                _REMBG + "u2net.onnx",
                _HUB + "Topurrra/u2net_onnx/resolve/065dc383e4d551f458a30118b7d1570af4d868db/u2net.onnx",
            ),
            terms=_APACHE_U2NET,
        ),
        Model(
            name="u2netp",
            file="u2netp.onnx",
            sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            licence="Apache-2.0",
            recipe=_U2NET,
            batchable=False,
            description="U²-Net's small sibling; the embedded net is quicker and better.",
            size_bytes=4_574_861,
            sources=(
                _REMBG + "u2netp.onnx",
                _HUB + "BritishWerewolf/U-2-Netp/resolve/7112208dbac3a3642496c8d54e2f0f9bb3dc1dc8/onnx/model.onnx",
            ),
            terms=_APACHE_U2NET,
            memory_mb=610,
            seconds_cpu=0.38,
        ),
        Model(
            name="u2net-human-seg",
            file="u2net-human-seg.onnx",
            sha256="01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c",
            licence="Apache-2.0",
            recipe=_U2NET,
            batchable=False,
            description="U²-Net for people, 320 x 320.",
            size_bytes=175_997_641,
            sources=(
                _REMBG + "u2net_human_seg.onnx",
                _HUB + "davidfant/rembg-u2net/resolve/82951e32735e4e6cd7bbf3e51279960d1ca3ef56/u2net_human_seg.onnx",
            ),
            terms=_APACHE_U2NET,
        ),
        Model(
            name="silueta",
            file="silueta.onnx",
            sha256="75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb",
            licence="Apache-2.0",
            recipe=_U2NET,
            batchable=False,
            description="U²-Net cut down to 44 MB; its licence is that of U²-Net, by descent.",
            size_bytes=44_173_029,
            sources=(_REMBG + "silueta.onnx",),
            terms=_APACHE_U2NET,
        ),
        Model(
            name="isnet-anime",
            file="isnet-anime.onnx",
            sha256="f15622d853e8260172812b657053460e20806f04b9e05147d49af7bed31a6e99",
            licence="Apache-2.0",
            recipe=Recipe(1024, 1024, fit="letterbox", number="float", layout="nchw", input="img", output="mask"),
            batchable=False,
            description="IS-Net for drawn characters.",
            size_bytes=176_069_933,
            sources=(
                _HUB + "skytnt/anime-seg/resolve/493cb60893f47441b26ec4fb9a306bce9e342982/isnetis.onnx",
                _REMBG + "isnet-anime.onnx",
            ),
            terms="https://github.com/SkyTNT/anime-segmentation/blob/main/LICENSE",
        ),
        Model(
            name="isnet-general-use",
            file="isnet-general-use.onnx",
            sha256="60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
            licence="Apache-2.0",
            recipe=replace(_ISNET, input="input_image", output="output_image"),
            batchable=False,
            description="IS-Net: anything, 1024 x 1024. Trained with DIS5K, whose own terms are non-commercial.",
            size_bytes=178_648_008,
            sources=(
                _REMBG + "isnet-general-use.onnx",
                _HUB
                + "jellybox/isnet-general-use/resolve/bc3706ce4ee38a3db2c3c58082a92582fcdfcfdc/"
                + "isnet-general-use_1024.onnx",
            ),
            commercial="unclear",
            terms="https://github.com/xuebinqin/DIS",
        ),
        Model(
            name="bria-rmbg-1.4",
            file="bria-rmbg-1.4.onnx",
            sha256="8cafcf770b06757c4eaced21b1a88e57fd2b66de01b8045f35f01535ba742e0f",
            licence="LicenseRef-BRIA-RMBG-1.4",
            recipe=replace(_ISNET, input="input", output="output", activation="minmax"),
            batchable=False,
            description="BRIA RMBG 1.4: anything. Not for commercial use without a contract with BRIA.",
            size_bytes=176_153_355,
            sources=(_HUB + "briaai/RMBG-1.4/resolve/2ceba5a5efaec153162aedea169f76caf9b46cf8/onnx/model.onnx",),
            commercial="no",
            terms="https://huggingface.co/briaai/RMBG-1.4",
        ),
        Model(
            name="bria-rmbg-2.0",
            file="bria-rmbg-2.0.onnx",
            sha256="5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
            licence="CC-BY-NC-4.0",
            recipe=replace(_BIREFNET_1024, input="pixel_values", output="alphas", activation="none"),
            batchable=False,
            description="BRIA RMBG 2.0: anything. Not for commercial use without a contract with BRIA.",
            size_bytes=1_024_331_469,
            sources=(_REMBG + "bria-rmbg-2.0.onnx",),
            commercial="no",
            terms="https://huggingface.co/briaai/RMBG-2.0",
        ),
    )
}
