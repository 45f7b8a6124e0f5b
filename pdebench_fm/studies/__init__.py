"""Studies: questions of the paper and beyond it, each a declarative file that runs, is drawn and judges its claims."""
