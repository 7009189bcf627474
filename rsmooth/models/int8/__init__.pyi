from .network import Int8Network as Int8Network
from .quantizing import quantize as quantize
