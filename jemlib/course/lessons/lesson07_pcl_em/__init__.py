"""Lesson 07: 07_pcl_em."""
