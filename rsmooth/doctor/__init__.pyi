from .examining import examine as examine
from .examining import examine_model as examine_model
from .findings import Finding as Finding
from .findings import Report as Report
