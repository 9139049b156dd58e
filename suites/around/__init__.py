"""What stands around torch in a project: Lightning, transformers, Core ML, scikit-learn, OpenCV.

Each test skips by name what is not installed; nothing is downloaded.
"""
