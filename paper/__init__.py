"""The paper's figures as data, and which run belongs to which row."""
