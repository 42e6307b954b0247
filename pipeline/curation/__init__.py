"""From records and concepts to tags: named rules, counted effects."""
