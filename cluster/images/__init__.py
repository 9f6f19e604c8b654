"""Builds the project's images without a container engine and without an image registry.

The base comes from Debian's packages, the wheels are fetched outside and installed in the build, and the
results are OCI archives in `.build/images`. Each step is done again only when what goes into it has changed.
"""

from cluster.images.build import IMAGES, BuiltImage, Image, build

__all__ = ["IMAGES", "BuiltImage", "Image", "build"]
