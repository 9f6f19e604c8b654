"""What the end-to-end tests share: installations, watches, and questions asked with kubectl alone."""
